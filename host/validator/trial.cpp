#include "host/validator/trial.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace rustic::validator {

std::string_view outcome_name(outcome result) noexcept {
  switch (result) {
    case outcome::passed:
      return "passed";
    case outcome::failed:
      return "failed";
    case outcome::warning:
      return "warning";
    case outcome::skipped:
      return "skipped";
    case outcome::crashed:
      return "crashed";
    case outcome::hung:
      return "hung";
  }
  return "failed";
}

std::string shown(std::string_view text, std::size_t bytes_max) {
  std::string out;
  for (const char c : to_utf8(text.substr(0, bytes_max + 4))) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f)
      out += c;
    else
      out += c == '\n' || c == '\t' ? ' ' : '?';
  }
  if (text.size() > bytes_max) {
    out = cut_utf8(out, bytes_max);
    out += "... (" + std::to_string(text.size()) + " bytes)";
  }
  return out;
}

trial::trial(setting with) : with_(std::move(with)), random_(with_.seed) {}

void trial::write_line(const json::object& line) {
  const auto text = json::serialize(line) + "\n";
  std::size_t done = 0;
  while (done < text.size()) {
    const auto wrote = ::write(with_.report, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    done += static_cast<std::size_t>(wrote);
  }
}

void trial::step(std::string_view what) {
  if (with_.report >= 0) {
    write_line({{"step", shown(what)}});
  } else {
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(with_.check.size()), with_.check.data(),
                 shown(what).c_str());
  }
}

void trial::end(const verdict& how) {
  if (with_.report < 0) throw trial_ended{how};
  write_line({{"result", outcome_name(how.result)},
              {"expected", how.expected},
              {"seen", how.seen},
              {"reason", how.reason}});
}

void trial::pass_and_write() {
  end({});
}

void trial::fail(std::string expected, std::string seen) {
  end({outcome::failed, std::move(expected), shown(seen, 4 * shown_bytes_max), {}, 0});
  ::_exit(0);
}

void trial::skip(std::string reason) {
  end({outcome::skipped, {}, {}, std::move(reason), 0});
  ::_exit(0);
}

const elf_image& trial::elf() {
  if (!elf_) {
    auto read = elf_image::open(with_.file);
    if (!read.image) skip("the file cannot be read: " + read.problem);
    elf_ = std::move(read.image);
  }
  return *elf_;
}

const json::object& trial::manifest() {
  if (!manifest_) {
    const auto& notes = elf().manifest_notes();
    if (notes.empty()) skip("the file has no manifest");
    try {
      manifest_ = parse_object(notes.front(), "manifest");
    } catch (const std::exception& problem) {
      skip(problem.what());
    }
  }
  return *manifest_;
}

const kernel::abi::manifest& trial::about() {
  if (!about_) {
    const auto& notes = elf().manifest_notes();
    if (notes.empty()) skip("the file has no manifest");
    auto read = kernel::abi::parse_manifest(notes.front());
    if (!read.value) skip(read.problem);
    about_ = std::move(*read.value);
  }
  return *about_;
}
}  // namespace rustic::validator
