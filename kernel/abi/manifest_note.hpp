// kernel/abi/manifest_note.hpp - takes a plugin's manifest out of its ELF note without loading the
// file.
//
// Reads the ELF header, the program headers and the PT_NOTE segments, and nothing else; every
// offset and length is checked against the file. Format: System V ABI, chapters "ELF Header",
// "Program Header" and "Note Section"; a note's parts are aligned to 4 or to 8 as its segment says.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace rustic::kernel::abi {

struct note_result {
  std::string manifest;  // empty when problem is not
  std::string problem;   // why this file is not a plugin that can be used on this machine
  std::string build_id;  // hexadecimal, empty when the file has none
};

// Reads from an open file. Any bytes are safe to read. Threads: any.
note_result read_manifest_note(int descriptor);
// The same over bytes in memory.
note_result parse_manifest_note(std::string_view file);
}  // namespace rustic::kernel::abi
