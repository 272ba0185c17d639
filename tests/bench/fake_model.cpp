#include "fake_model.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "measured_process.hpp"

namespace rustic::bench {
namespace {

namespace json = boost::json;
constexpr std::int64_t answer_timeout_ns = 30'000'000'000;

std::int64_t number(const json::object& object, std::string_view name) {
  const json::value* found = object.if_contains(name);
  return found == nullptr ? 0 : found->to_number<std::int64_t>();
}

}  // namespace

fake_model::fake_model(const std::string& program, const json::array& steps,
                       const std::string& folder)
    : requests_file_(folder + "/requests.jsonl") {
  const std::string script = folder + "/script.json";
  std::ofstream(script) << json::serialize(steps);
  unlink(requests_file_.c_str());
  int to[2];
  int from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
    throw std::runtime_error("pipe failed");
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    execl(program.c_str(), program.c_str(), "--script", script.c_str(), "--requests",
          requests_file_.c_str(), "--no-bodies", "--until-eof", nullptr);
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  keep_ = to[1];
  std::string said;
  char space[256];
  for (ssize_t n = 0; said.find('\n') == std::string::npos && (n = read(from[0], space, 256)) > 0;)
    said.append(space, static_cast<std::size_t>(n));
  close(from[0]);
  if (said.empty()) throw std::runtime_error(program + " did not start");
  port_ = json::parse(said).at("port").to_number<int>();
}

fake_model::~fake_model() {
  close(keep_);
  waitpid(pid_, nullptr, 0);
}

std::string fake_model::base_url() const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/v1";
}

std::vector<request_times> fake_model::take(std::size_t count) {
  std::vector<request_times> out;
  const std::int64_t until_ns = now_ns() + answer_timeout_ns;
  while (out.size() < count) {
    std::ifstream file(requests_file_);
    file.seekg(static_cast<std::streamoff>(read_bytes_));
    std::string line;
    while (std::getline(file, line) && !file.eof()) {
      read_bytes_ += line.size() + 1;
      const json::value parsed = json::parse(line);
      const json::object& record = parsed.as_object();
      request_times one;
      one.received_first_ns = number(record, "received_first_ns");
      one.sent_first_ns = number(record, "sent_first_ns");
      one.sent_last_ns = number(record, "sent_last_ns");
      out.push_back(one);
    }
    if (out.size() >= count) break;
    if (now_ns() > until_ns) {
      throw std::runtime_error("the model was asked " + std::to_string(out.size()) +
                               " times, not " + std::to_string(count));
    }
    poll(nullptr, 0, 5);
  }
  return out;
}

}  // namespace rustic::bench
