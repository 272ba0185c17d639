// tests/fuzz/anthropic_fuzz.cpp - the reader of the Messages API.
#include "answer_fuzz.hpp"
#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  return rustic::fuzz::check<rustic::anthropic::messages_reader>(data, bytes);
}
