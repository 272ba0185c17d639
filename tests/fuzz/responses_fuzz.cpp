// tests/fuzz/responses_fuzz.cpp - the reader of OpenAI Responses.
#include <rustic/provider/responses.hpp>

#include "answer_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  return rustic::fuzz::check<rustic::provider::responses_reader>(data, bytes);
}
