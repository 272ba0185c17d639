#include "kernel/abi/manifest_note.hpp"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <vector>

#include "kernel/abi/limits.hpp"

namespace rustic::kernel::abi {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half machine_here = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half machine_here = EM_AARCH64;
#else
#error "this architecture has no entry here"
#endif

// Reads exactly `bytes` at `offset`; false when the file is shorter.
using reader = std::function<bool(std::uint64_t offset, void* out, std::size_t bytes)>;

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

// Looks through one note segment. True when the manifest was found in it.
void scan_notes(const std::vector<char>& segment, std::uint64_t alignment, note_result& out) {
  std::uint64_t at = 0;
  while (segment.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, segment.data() + at, sizeof(header));
    const std::uint64_t name_at = at + sizeof(header);
    const std::uint64_t text_at = round_up(name_at + header.n_namesz, alignment);
    const std::uint64_t end = text_at + header.n_descsz;
    if (text_at > segment.size() || end > segment.size()) return;
    const std::string_view name(segment.data() + name_at, header.n_namesz);
    const std::string_view text(segment.data() + text_at, header.n_descsz);
    if (name == std::string_view("Rustic", 7) && header.n_type == 1 && out.manifest.empty())
      out.manifest = text.substr(0, text.find('\0'));
    if (name == std::string_view("GNU", 4) && header.n_type == NT_GNU_BUILD_ID &&
        text.size() <= 64) {
      out.build_id.clear();
      for (const char c : text) {
        constexpr char digits[] = "0123456789abcdef";
        out.build_id += digits[static_cast<unsigned char>(c) >> 4];
        out.build_id += digits[static_cast<unsigned char>(c) & 15];
      }
    }
    const auto next = round_up(end, alignment);
    if (next <= at || next > segment.size()) return;
    at = next;
  }
}

note_result parse(const reader& read, std::uint64_t file_bytes) {
  note_result out;
  Elf64_Ehdr header{};
  if (file_bytes < sizeof(header) || !read(0, &header, sizeof(header)) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    out.problem = "not an ELF file";
    return out;
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != machine_here) {
    out.problem = "built for another architecture";
    return out;
  }
  if (header.e_type != ET_DYN || header.e_phentsize != sizeof(Elf64_Phdr)) {
    out.problem = "not a shared object";
    return out;
  }
  if (header.e_phnum > elf_program_headers_max) {
    out.problem = "too many program headers";
    return out;
  }
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  if (header.e_phoff > file_bytes ||
      !read(header.e_phoff, segments.data(), segments.size() * sizeof(Elf64_Phdr))) {
    out.problem = "incomplete file: its program headers are missing";
    return out;
  }
  for (const auto& segment : segments) {
    if (segment.p_type != PT_LOAD) continue;
    if (segment.p_offset > file_bytes || segment.p_filesz > file_bytes - segment.p_offset) {
      out.problem = "incomplete file: it is shorter than its program headers say";
      return out;
    }
  }
  // The section headers come last in a linked file: a copy in progress lacks them.
  if (header.e_shnum != 0 &&
      (header.e_shoff > file_bytes ||
       std::uint64_t{header.e_shnum} * header.e_shentsize > file_bytes - header.e_shoff)) {
    out.problem = "incomplete file: its end is missing";
    return out;
  }
  for (const auto& segment : segments) {
    if (segment.p_type != PT_NOTE || segment.p_filesz > elf_note_segment_bytes_max) continue;
    std::vector<char> notes(segment.p_filesz);
    if (!read(segment.p_offset, notes.data(), notes.size())) continue;
    scan_notes(notes, segment.p_align == 8 ? 8 : 4, out);
  }
  if (out.manifest.empty()) out.problem = "no Rustic-AI manifest in it";
  if (out.manifest.size() > manifest_bytes_max) {
    out.manifest.clear();
    out.problem = "its manifest is larger than " + std::to_string(manifest_bytes_max) + " bytes";
  }
  return out;
}
}  // namespace

note_result parse_manifest_note(std::string_view file) {
  return parse(
      [file](std::uint64_t offset, void* out, std::size_t bytes) {
        if (offset > file.size() || bytes > file.size() - offset) return false;
        if (bytes != 0) std::memcpy(out, file.data() + offset, bytes);
        return true;
      },
      file.size());
}

note_result read_manifest_note(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    note_result out;
    out.problem = "not a regular file";
    return out;
  }
  // Linkers put headers and notes first: one read has them all.
  std::array<char, elf_head_bytes> head;
  const auto got_head = std::max<ssize_t>(pread(descriptor, head.data(), head.size(), 0), 0);
  return parse(
      [&](std::uint64_t offset, void* out, std::size_t bytes) {
        if (const auto size = static_cast<std::uint64_t>(got_head);
            offset <= size && bytes <= size - offset) {
          if (bytes != 0) std::memcpy(out, head.data() + offset, bytes);
          return true;
        }
        std::size_t done = 0;
        while (done < bytes) {
          const auto got = pread(descriptor, static_cast<char*>(out) + done, bytes - done,
                                 static_cast<off_t>(offset + done));
          if (got <= 0) return false;
          done += static_cast<std::size_t>(got);
        }
        return true;
      },
      static_cast<std::uint64_t>(status.st_size));
}
}  // namespace rustic::kernel::abi
