// host/validator/elf_image.hpp - a shared object looked at without loading it: headers, dynamic
// section, symbols, versions, notes.
//
// Format: System V ABI (ELF header, program header, dynamic section, hash tables, notes) and the
// GNU symbol versions of the Linux Standard Base. Every offset and length is checked against the
// file; any bytes are safe to read.
#pragma once
#include <elf.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::validator {

struct elf_symbol {
  std::string name;
  unsigned char bind = 0;  // STB_...
  unsigned char type = 0;  // STT_...
  bool defined = false;
  std::uint64_t address = 0;
};

struct elf_note {
  std::string owner;
  std::uint32_t type = 0;
  std::string_view text;
};

class elf_image {
 public:
  struct opened;
  // Null and the reason when it is no complete shared object for this machine.
  static opened open(const std::filesystem::path& file);
  static opened parse(std::string bytes);

  const std::vector<Elf64_Phdr>& segments() const noexcept { return segments_; }
  // All values of a tag, in the order of the file.
  std::vector<std::uint64_t> dynamic(std::int64_t tag) const;
  bool has(std::int64_t tag) const { return !dynamic(tag).empty(); }
  std::vector<std::string> needed() const;
  std::string run_path() const;  // DT_RUNPATH and DT_RPATH with a colon between
  const std::vector<elf_symbol>& symbols() const noexcept { return symbols_; }
  const std::vector<std::string>& versions_needed() const noexcept { return versions_; }
  const std::vector<elf_note>& notes() const noexcept { return notes_; }
  const std::vector<std::string>& section_names() const noexcept { return sections_; }
  // The text of each note of ours; a plugin has one.
  const std::vector<std::string>& manifest_notes() const noexcept { return manifests_; }
  std::size_t size() const noexcept { return bytes_.size(); }

 private:
  elf_image() = default;
  std::string read_all();  // the problem, or empty
  void read_dynamic();
  void read_symbols();
  void read_versions();
  void read_notes();
  void read_sections();
  // A view of the file's bytes; empty when they are not all there.
  std::string_view at(std::uint64_t offset, std::uint64_t bytes) const noexcept;
  std::optional<std::uint64_t> offset_of(std::uint64_t address) const noexcept;
  std::string text_at(std::uint64_t index) const;  // of the dynamic string table
  template <class T>
  std::optional<T> load(std::uint64_t offset) const noexcept;

  std::string bytes_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Dyn> dynamic_;
  std::vector<elf_symbol> symbols_;
  std::vector<std::string> versions_;
  std::vector<elf_note> notes_;
  std::vector<std::string> sections_;
  std::vector<std::string> manifests_;
};

struct elf_image::opened {
  std::unique_ptr<elf_image> image;
  std::string problem;
};
}  // namespace rustic::validator
