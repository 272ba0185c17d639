// tests/fuzz/google_fuzz.cpp - the reader of the Gemini API.
#include "answer_fuzz.hpp"
#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  return rustic::fuzz::check<rustic::google::content_reader>(data, bytes);
}
