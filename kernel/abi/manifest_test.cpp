#include <doctest/doctest.h>
#include <elf.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "kernel/abi/manifest.hpp"
#include "kernel/abi/manifest_note.hpp"
#include "kernel/abi/plugin_files.hpp"

using namespace rustic::kernel::abi;
namespace fs = std::filesystem;

namespace {
struct scratch {
  scratch() {
    std::string name = (fs::temp_directory_path() / "rustic-plugins-XXXXXX").string();
    path = fs::canonical(mkdtemp(name.data()));
  }
  ~scratch() { fs::remove_all(path); }
  fs::path path;
};

void append(std::string& out, const void* data, std::size_t bytes) {
  out.append(static_cast<const char*>(data), bytes);
}

// A minimal shared object: header, one PT_LOAD over everything, one PT_NOTE.
std::string elf_with(std::string_view manifest, std::uint64_t alignment = 4) {
  std::string note;
  const auto padding = [&] {
    while (note.size() % alignment != 0) note += '\0';
  };
  const Elf64_Nhdr foreign{4, 4, 3};
  append(note, &foreign, sizeof(foreign));
  append(note, "GNU\0", 4);
  padding();
  append(note, "\xAB\xCD\xEF\x01", 4);
  padding();
  const Elf64_Nhdr ours{7, static_cast<Elf64_Word>(manifest.size() + 1), 1};
  append(note, &ours, sizeof(ours));
  append(note, "Rustic\0", 7);
  padding();
  append(note, std::string(manifest).c_str(), manifest.size() + 1);
  padding();

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_DYN;
#if defined(__x86_64__)
  header.e_machine = EM_X86_64;
#else
  header.e_machine = EM_AARCH64;
#endif
  header.e_phoff = sizeof(header);
  header.e_phnum = 2;
  header.e_phentsize = sizeof(Elf64_Phdr);
  Elf64_Phdr load{};
  load.p_type = PT_LOAD;
  load.p_filesz = sizeof(header) + 2 * sizeof(Elf64_Phdr) + note.size();
  Elf64_Phdr notes{};
  notes.p_type = PT_NOTE;
  notes.p_offset = sizeof(header) + 2 * sizeof(Elf64_Phdr);
  notes.p_filesz = note.size();
  notes.p_align = alignment;
  std::string out;
  append(out, &header, sizeof(header));
  append(out, &load, sizeof(load));
  append(out, &notes, sizeof(notes));
  return out + note;
}

constexpr std::string_view good =
    R"({"id":"weather","version":"1.0","abi":{"major":1},"provides":[{"interface":"rustic.tool/1",
"name":"weather","attributes":{"description":"x"}}],"requires":["rustic.http/default"]})";

void write(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
  fs::permissions(path, fs::perms::owner_all);
}
}  // namespace

TEST_CASE("a manifest is read from notes of either alignment") {
  for (const std::uint64_t alignment : {4u, 8u}) {
    const auto note = parse_manifest_note(elf_with(good, alignment));
    CHECK(note.problem == "");
    CHECK(note.manifest == good);
    CHECK(note.build_id == "abcdef01");
  }
}

TEST_CASE("cut at any byte, a file is refused and nothing is read beyond it") {
  const auto whole = elf_with(good);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const std::string cut = whole.substr(0, bytes);
    CHECK(!parse_manifest_note(cut).problem.empty());
  }
}

TEST_CASE("mutated files are safe to read") {
  std::mt19937 random(20260101);
  const auto whole = elf_with(good);
  int refused = 0;
  for (int round = 0; round < 30'000; ++round) {
    auto bytes = whole;
    for (int i = 0; i < 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto note = parse_manifest_note(bytes);
    refused += note.problem.empty() ? 0 : 1;
    if (note.problem.empty()) (void)parse_manifest(note.manifest);
  }
  CHECK(refused > 1000);
}

TEST_CASE("manifests that cannot be right are refused with the reason") {
  const auto problem = [](std::string_view text) { return parse_manifest(text).problem; };
  CHECK(problem("{").find("not valid JSON") != std::string::npos);
  CHECK(problem("[]") == "manifest: not a JSON object");
  CHECK(problem(R"({"version":"1"})") == "manifest: \"id\" is missing");
  CHECK(
      problem(R"({"id":"../x","version":"1","abi":{"major":1},"provides":[]})").find("not an id") !=
      std::string::npos);
  CHECK(
      problem(R"({"id":"x","version":"1","abi":{"major":1},"provides":[{"interface":"rustic.tool/1",
    "name":"a b"}]})")
          .find("name") != std::string::npos);
  CHECK(
      problem(R"({"id":"x","version":"1","abi":{"major":1},"provides":[{"interface":"rustic.tool/x",
    "name":"a"}]})")
          .find("revision") != std::string::npos);
  const auto read = parse_manifest(good);
  REQUIRE(read.value);
  CHECK(read.value->provides[0].target() == "rustic.tool/weather");
  CHECK(read.value->requires_targets[0] == "rustic.http/default");
  CHECK(abi_problem(*read.value).empty());
}

TEST_CASE(
    "a directory lists good, bad, foreign, half-written and shadowed files and harms nothing") {
  scratch first, second;
  write(first.path / "a.so", elf_with(good));
  write(first.path / "text.so", "hello");
  write(first.path / "half.so", elf_with(good).substr(0, 150));
  write(first.path / "empty.so", "");
  write(first.path / "writable.so", elf_with(good));
  fs::permissions(first.path / "writable.so", fs::perms::all);
  fs::create_symlink(first.path / "nowhere", first.path / "dangling.so");
  REQUIRE(mkfifo((first.path / "pipe.so").c_str(), 0600) == 0);
  auto newer = std::string(good);
  newer.replace(newer.find("\"major\":1"), 9, "\"major\":2");
  newer.replace(newer.find("\"id\":\"weather\""), 14, "\"id\":\"newer\"");
  write(first.path / "newer.so", elf_with(newer));
  write(first.path / "readme.txt", "not looked at");
  write(second.path / "again.so", elf_with(good));

  const auto files = find_plugins({first.path, first.path / "missing", second.path});
  std::map<std::string, plugin_file> by_name;
  for (const auto& file : files) by_name[file.path.filename().string()] = file;
  CHECK(files.size() == 9);
  CHECK(by_name["a.so"].usable());
  CHECK(by_name["text.so"].problem == "not an ELF file");
  CHECK(by_name["half.so"].problem.find("incomplete") != std::string::npos);
  CHECK(by_name["empty.so"].problem == "not an ELF file");
  CHECK(by_name["writable.so"].problem.find("written by others") != std::string::npos);
  CHECK(!by_name["dangling.so"].problem.empty());
  CHECK(by_name["pipe.so"].problem == "not a regular file");
  CHECK(by_name["newer.so"].problem.find("contract version 2") != std::string::npos);
  CHECK(by_name["again.so"].shadowed_by == first.path / "a.so");
}

TEST_CASE("a directory that others may write is not trusted") {
  scratch open;
  write(open.path / "a.so", elf_with(good));
  fs::permissions(open.path, fs::perms::all);
  const auto files = find_plugins({open.path});
  REQUIRE(files.size() == 1);
  CHECK(files[0].problem.find("its directory") == 0);
}

TEST_CASE("a link is as good as the directory that it leads into") {
  scratch trusted, open;
  write(open.path / "a.so", elf_with(good));
  fs::create_symlink(open.path / "a.so", trusted.path / "link.so");
  fs::create_directory_symlink(open.path, trusted.path / "plugins");
  for (const auto rights : {fs::perms::owner_all, fs::perms::all | fs::perms::sticky_bit}) {
    fs::permissions(open.path, rights);
    const bool usable = rights == fs::perms::owner_all;
    for (const auto& directory : {trusted.path, trusted.path / "plugins"}) {
      const auto files = find_plugins({directory});
      REQUIRE(files.size() == 1);
      CAPTURE(files[0].problem);
      CHECK(files[0].usable() == usable);
      if (!usable) CHECK(files[0].problem.find("its directory ") == 0);
    }
  }
}
