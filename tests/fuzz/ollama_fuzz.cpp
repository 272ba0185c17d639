// tests/fuzz/ollama_fuzz.cpp - the reader of Ollama's own API.
#include "answer_fuzz.hpp"
#include "reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  return rustic::fuzz::check<rustic::ollama::line_reader>(data, bytes);
}
