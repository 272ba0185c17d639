// tests/fuzz/config_fuzz.cpp - configuration files in each format, and the keys and values of
// flags.
#include <cstdint>
#include <rustic/status.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "host/runtime/config/document.hpp"
#include "host/runtime/config/key_path.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace rustic::config;
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  for (const auto kind : {format::toml, format::json, format::yaml}) {
    std::vector<problem> problems;
    (void)parse_document(text, kind, "fuzz", problems);
  }
  (void)parse_toml_value(text);
  try {
    (void)split_key(text);
  } catch (const rustic::failure&) {
  }
  return 0;
}
