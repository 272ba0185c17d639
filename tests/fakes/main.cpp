// main.cpp - rustic-fake-model: the fake model as a program, for tests and benchmarks of whole
// processes. Prints {"port":N} and serves until it is told to end.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>

#include "model_server.hpp"

namespace {

constexpr std::string_view usage =
    "usage: rustic-fake-model [--port N] [--script FILE] [--requests FILE] [--no-bodies]\n"
    "                         [--with-parent] [--until-eof]\n"
    "  --script FILE    what to answer (JSON; - reads standard input); none: every answer is "
    "\"ok\"\n"
    "  --requests FILE  write each finished request as a line of JSON\n"
    "  --no-bodies      leave the requests' bodies out of the records\n"
    "  --with-parent    end when the thread that started this program ends\n"
    "  --until-eof      end when standard input ends\n";

std::string read_all(const std::string& name) {
  if (name == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream file(name, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read the script " + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

int run(int argc, char** argv) {
  using namespace rustic::fakes;
  model_server::options options;
  script what;
  bool scripted = false;
  bool until_eof = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) throw std::runtime_error(std::string(name) + " needs a value");
      return argv[++i];
    };
    if (name == "--port") {
      const std::string text = value();
      const auto [end, problem] =
          std::from_chars(text.data(), text.data() + text.size(), options.port);
      if (problem != std::errc{} || end != text.data() + text.size()) {
        throw std::runtime_error("--port needs a number up to 65535, not '" + text + "'");
      }
    } else if (name == "--script") {
      what = parse_script(read_all(value()));
      scripted = true;
    } else if (name == "--requests") {
      options.requests_file = value();
    } else if (name == "--no-bodies") {
      options.keep_bodies = false;
    } else if (name == "--with-parent") {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
    } else if (name == "--until-eof") {
      until_eof = true;
    } else if (name == "--help") {
      std::cout << usage;
      return 0;
    } else {
      throw std::runtime_error("no such option: " + std::string(name));
    }
  }
  if (!scripted) {
    what.steps.push_back(step::saying("ok"));
    what.steps.back().times = 0;
  }

  sigset_t ends;
  sigemptyset(&ends);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ends, signal);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  signal(SIGPIPE, SIG_IGN);

  model_server server(std::move(what), options);
  std::cout << "{\"port\":" << server.port() << "}" << std::endl;
  if (until_eof) {
    sigprocmask(SIG_UNBLOCK, &ends, nullptr);
    char space[256];
    while (read(STDIN_FILENO, space, sizeof(space)) > 0) {
    }
  } else {
    int got = 0;
    sigwait(&ends, &got);
  }
  server.stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& problem) {
    std::cerr << "rustic-fake-model: " << problem.what() << "\n";
    return 2;
  }
}
