// tests/fuzz/chat_fuzz.cpp - the reader of Chat Completions.
#include <rustic/provider/chat.hpp>

#include "answer_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  return rustic::fuzz::check<rustic::provider::chat_reader>(data, bytes);
}
