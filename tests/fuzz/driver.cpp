// tests/fuzz/driver.cpp - runs a fuzz target without libFuzzer: the corpus, then mutations of it
// for a bounded number of rounds.
//
// driver CORPUS_DIRECTORY [ROUNDS] [SEED]. Prints the seed; a crash leaves the input in the current
// directory as crash.bin.
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes);

namespace {
constexpr std::size_t input_bytes_max = 1u << 16;
const std::string* current = nullptr;

void keep_input(int signal) {
  if (current) {
    std::FILE* file = std::fopen("crash.bin", "wb");
    if (file) {
      std::fwrite(current->data(), 1, current->size(), file);
      std::fclose(file);
    }
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const std::string& input) {
  current = &input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::string mutate(std::string text, const std::vector<std::string>& corpus,
                   std::mt19937_64& random) {
  static const std::string pieces[] = {
      "\"", "{",     "}", "[", "]",  "\\u0000", "\xFF",    "\xC3", "\0", "\r\n", "\n\n",  "data:",
      "0x", "1e999", "-", "'", "$(", "`",       "<<EOF\n", "&&",   "= ", "[[",   "\"\"\""};
  for (auto left = 1 + random() % 8; left > 0; --left) {
    const auto at = text.empty() ? 0 : random() % text.size();
    switch (random() % 6) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(random());
        break;
      case 1:
        text.insert(at, pieces[random() % std::size(pieces)]);
        break;
      case 2:
        text.erase(at, random() % 16);
        break;
      case 3: {
        const auto& other = corpus[random() % corpus.size()];
        text.insert(at, other.substr(other.empty() ? 0 : random() % other.size(), random() % 64));
        break;
      }
      case 4:
        text.resize(at);
        break;
      default:
        text.insert(at, std::string(random() % 64, text.empty() ? 'a' : text[at]));
    }
  }
  if (text.size() > input_bytes_max) text.resize(input_bytes_max);
  return text;
}
}  // namespace

int main(int count, char** words) {
  if (count < 2) return 2;
  const unsigned long rounds = count > 2 ? std::strtoul(words[2], nullptr, 10) : 20'000;
  const unsigned long seed = count > 3 ? std::strtoul(words[3], nullptr, 10) : 20260101;
  std::printf("seed %lu, %lu rounds\n", seed, rounds);
  std::fflush(stdout);
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS}) std::signal(signal, keep_input);
  std::vector<std::string> corpus{""};
  for (const auto& entry : std::filesystem::directory_iterator(words[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    corpus.emplace_back((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  }
  for (const auto& input : corpus) run(input);
  std::mt19937_64 random(seed);
  for (unsigned long round = 0; round < rounds; ++round)
    run(mutate(corpus[random() % corpus.size()], corpus, random));
  std::puts("done");
  return 0;
}
