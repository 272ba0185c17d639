// tests/fuzz/manifest_fuzz.cpp - the reader of ELF notes and of the manifests in them.
#include <cstdint>
#include <string_view>

#include "kernel/abi/manifest.hpp"
#include "kernel/abi/manifest_note.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  const auto note = rustic::kernel::abi::parse_manifest_note(text);
  (void)rustic::kernel::abi::parse_manifest(note.manifest);
  (void)rustic::kernel::abi::parse_manifest(text);
  return 0;
}
