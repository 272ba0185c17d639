#include "host/validator/elf_image.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "host/validator/limits.hpp"

namespace rustic::validator {
namespace {
#if defined(__x86_64__)
constexpr Elf64_Half machine_here = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half machine_here = EM_AARCH64;
#else
#error "this architecture has no entry here"
#endif

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}
}  // namespace

elf_image::opened elf_image::open(const std::filesystem::path& file) {
  std::error_code problem;
  const auto bytes = std::filesystem::file_size(file, problem);
  if (problem) return {nullptr, problem.message()};
  if (bytes > file_bytes_max) return {nullptr, "larger than " + std::to_string(file_bytes_max)};
  std::ifstream in(file, std::ios::binary);
  if (!in) return {nullptr, "it cannot be opened"};
  std::string text(bytes, '\0');
  in.read(text.data(), static_cast<std::streamsize>(bytes));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  return parse(std::move(text));
}

elf_image::opened elf_image::parse(std::string bytes) {
  std::unique_ptr<elf_image> image(new elf_image);
  image->bytes_ = std::move(bytes);
  auto problem = image->read_all();
  if (!problem.empty()) return {nullptr, std::move(problem)};
  return {std::move(image), {}};
}

std::string_view elf_image::at(std::uint64_t offset, std::uint64_t bytes) const noexcept {
  if (offset > bytes_.size() || bytes > bytes_.size() - offset) return {};
  return std::string_view(bytes_).substr(offset, bytes);
}

template <class T>
std::optional<T> elf_image::load(std::uint64_t offset) const noexcept {
  const auto found = at(offset, sizeof(T));
  if (found.empty()) return std::nullopt;
  T out;
  std::memcpy(&out, found.data(), sizeof(T));
  return out;
}

std::string elf_image::read_all() {
  const auto header = load<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return "not an ELF file";
  header_ = *header;
  if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
      header_.e_machine != machine_here)
    return "built for another architecture";
  if (header_.e_type != ET_DYN || header_.e_phentsize != sizeof(Elf64_Phdr))
    return "not a shared object";
  if (header_.e_phnum > elf_headers_max || header_.e_shnum > elf_headers_max)
    return "too many headers";
  for (std::uint64_t i = 0; i < header_.e_phnum; ++i) {
    const auto segment = load<Elf64_Phdr>(header_.e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) return "incomplete: its program headers are missing";
    if (segment->p_type == PT_LOAD && segment->p_filesz != 0 &&
        at(segment->p_offset, segment->p_filesz).empty())
      return "incomplete: it is shorter than its program headers say";
    segments_.push_back(*segment);
  }
  if (header_.e_shnum != 0 &&
      at(header_.e_shoff, std::uint64_t{header_.e_shnum} * header_.e_shentsize).empty())
    return "incomplete: its end is missing";
  read_dynamic();
  if (dynamic_.empty()) return "it has no dynamic section";
  read_symbols();
  read_versions();
  read_notes();
  read_sections();
  return {};
}

void elf_image::read_dynamic() {
  for (const auto& segment : segments_) {
    if (segment.p_type != PT_DYNAMIC) continue;
    for (std::uint64_t i = 0; i < segment.p_filesz / sizeof(Elf64_Dyn); ++i) {
      const auto entry = load<Elf64_Dyn>(segment.p_offset + i * sizeof(Elf64_Dyn));
      if (!entry || entry->d_tag == DT_NULL || dynamic_.size() >= elf_versions_max) break;
      dynamic_.push_back(*entry);
    }
  }
}

std::vector<std::uint64_t> elf_image::dynamic(std::int64_t tag) const {
  std::vector<std::uint64_t> out;
  for (const auto& entry : dynamic_)
    if (entry.d_tag == tag) out.push_back(entry.d_un.d_val);
  return out;
}

std::optional<std::uint64_t> elf_image::offset_of(std::uint64_t address) const noexcept {
  for (const auto& segment : segments_)
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz)
      return segment.p_offset + (address - segment.p_vaddr);
  return std::nullopt;
}

std::string elf_image::text_at(std::uint64_t index) const {
  const auto table = dynamic(DT_STRTAB), bytes = dynamic(DT_STRSZ);
  if (table.empty() || bytes.empty() || index >= bytes[0]) return {};
  const auto start = offset_of(table[0]);
  if (!start) return {};
  const auto all = at(*start, bytes[0]);
  if (all.empty()) return {};
  const auto rest = all.substr(index);
  return std::string(rest.substr(0, rest.find('\0')));
}

std::vector<std::string> elf_image::needed() const {
  std::vector<std::string> out;
  for (const auto index : dynamic(DT_NEEDED)) out.push_back(text_at(index));
  return out;
}

std::string elf_image::run_path() const {
  std::string out;
  for (const auto tag : {DT_RUNPATH, DT_RPATH})
    for (const auto index : dynamic(tag)) out += (out.empty() ? "" : ":") + text_at(index);
  return out;
}

void elf_image::read_symbols() {
  const auto table = dynamic(DT_SYMTAB);
  if (table.empty()) return;
  const auto start = offset_of(table[0]);
  if (!start) return;
  // The dynamic section does not say how many there are; section headers and DT_HASH do.
  std::uint64_t count = 0;
  for (std::uint64_t i = 0; i < header_.e_shnum; ++i) {
    const auto section = load<Elf64_Shdr>(header_.e_shoff + i * header_.e_shentsize);
    if (section && section->sh_type == SHT_DYNSYM) count = section->sh_size / sizeof(Elf64_Sym);
  }
  if (const auto hash = dynamic(DT_HASH); count == 0 && !hash.empty())
    if (const auto place = offset_of(hash[0]))
      if (const auto chains = load<std::uint32_t>(*place + 4)) count = *chains;
  for (std::uint64_t i = 1; i < count && i < elf_symbols_max; ++i) {
    const auto symbol = load<Elf64_Sym>(*start + i * sizeof(Elf64_Sym));
    if (!symbol) return;
    symbols_.push_back({text_at(symbol->st_name), static_cast<unsigned char>(symbol->st_info >> 4),
                        static_cast<unsigned char>(symbol->st_info & 15),
                        symbol->st_shndx != SHN_UNDEF, symbol->st_value});
  }
}

void elf_image::read_versions() {
  const auto table = dynamic(DT_VERNEED);
  if (table.empty()) return;
  auto place = offset_of(table[0]);
  for (std::size_t i = 0; place && i < elf_versions_max; ++i) {
    const auto need = load<Elf64_Verneed>(*place);
    if (!need) return;
    auto entry = *place + need->vn_aux;
    for (unsigned k = 0; k < need->vn_cnt && versions_.size() < elf_versions_max; ++k) {
      const auto one = load<Elf64_Vernaux>(entry);
      if (!one) return;
      versions_.push_back(text_at(one->vna_name));
      if (one->vna_next == 0) break;
      entry += one->vna_next;
    }
    if (need->vn_next == 0) return;
    place = *place + need->vn_next;
  }
}

void elf_image::read_notes() {
  for (const auto& segment : segments_) {
    if (segment.p_type != PT_NOTE) continue;
    const auto all = at(segment.p_offset, segment.p_filesz);
    const std::uint64_t alignment = segment.p_align == 8 ? 8 : 4;
    std::uint64_t place = 0;
    while (all.size() - place >= sizeof(Elf64_Nhdr)) {
      Elf64_Nhdr note;
      std::memcpy(&note, all.data() + place, sizeof(note));
      const auto name_at = place + sizeof(note);
      const auto text_at = round_up(name_at + note.n_namesz, alignment);
      const auto end = text_at + note.n_descsz;
      if (text_at > all.size() || end > all.size()) break;
      auto owner = all.substr(name_at, note.n_namesz);
      owner = owner.substr(0, owner.find('\0'));
      const auto text = all.substr(text_at, note.n_descsz);
      notes_.push_back({std::string(owner), note.n_type, text});
      if (owner == "Rustic" && note.n_type == 1)
        manifests_.emplace_back(text.substr(0, text.find('\0')));
      const auto next = round_up(end, alignment);
      if (next <= place || next > all.size()) break;
      place = next;
    }
  }
}

void elf_image::read_sections() {
  if (header_.e_shstrndx >= header_.e_shnum) return;
  const auto names =
      load<Elf64_Shdr>(header_.e_shoff + std::uint64_t{header_.e_shstrndx} * header_.e_shentsize);
  if (!names) return;
  const auto all = at(names->sh_offset, names->sh_size);
  for (std::uint64_t i = 0; i < header_.e_shnum; ++i) {
    const auto section = load<Elf64_Shdr>(header_.e_shoff + i * header_.e_shentsize);
    if (!section || section->sh_name >= all.size()) continue;
    const auto rest = all.substr(section->sh_name);
    sections_.emplace_back(rest.substr(0, rest.find('\0')));
  }
}
}  // namespace rustic::validator
