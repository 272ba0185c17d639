#include "cli_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace rustic::e2e {
namespace fs = std::filesystem;
namespace {

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + strerror(errno));
}

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct pipe_ends {
  int read = -1, write = -1;
};
pipe_ends make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
  return {ends[0], ends[1]};
}
}  // namespace

place::place() {
  std::string name = (fs::temp_directory_path() / "rustic-cli-XXXXXX").string();
  if (!mkdtemp(name.data())) fail("mkdtemp");
  root_ = name;
  home_ = root_ / "home";
  work_ = root_ / "work";
  fs::create_directories(home_);
  fs::create_directories(work_);
  environment["HOME"] = home_.string();
  environment["PATH"] = "/usr/local/bin:/usr/bin:/bin";
}

place::~place() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

void place::write(const fs::path& file, const std::string& text) const {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

void place::configure(const std::string& toml) const {
  write(home_ / ".config/rustic-ai/config.toml", toml);
}

fs::path place::database() const {
  return home_ / ".local/share/rustic-ai/sessions.db";
}

std::vector<fs::path> place::files_with(const std::string& bytes) const {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(root_))
    if (entry.is_regular_file() && content_of(entry.path()).find(bytes) != std::string::npos)
      found.push_back(entry.path());
  return found;
}

json::object ended::object() const {
  if (out.empty() || out.back() != '\n' || out.find('\n') + 1 != out.size())
    throw std::runtime_error("standard output is not one line: " + out.substr(0, 400));
  return parse_object(out);
}

std::vector<json::object> ended::lines() const {
  std::vector<json::object> all;
  for (std::size_t at = 0; at < out.size();) {
    const auto end = out.find('\n', at);
    if (end == std::string::npos)
      throw std::runtime_error("the last line has no end: " + out.substr(at, 400));
    all.push_back(parse_object(std::string_view(out).substr(at, end - at)));
    at = end + 1;
  }
  return all;
}

cli_process::cli_process(const place& where, launch how)
    : input_(std::move(how.input_text)), input_open_(how.input_open) {
  const auto in = make_pipe(), out = make_pipe(), err = make_pipe();
  std::vector<std::string> words{how.program.empty() ? RUSTIC_AI : how.program}, variables;
  words.insert(words.end(), how.arguments.begin(), how.arguments.end());
  for (const auto& [name, value] : where.environment) variables.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (auto& word : words) argv.push_back(word.data());
  for (auto& variable : variables) envp.push_back(variable.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const auto directory = where.work().string();

  id_ = fork();
  if (id_ < 0) fail("fork");
  if (id_ == 0) {
    setpgid(0, 0);
    ::signal(SIGPIPE, SIG_DFL);
    if (how.input == input_kind::pipe) dup2(in.read, 0);
    if (how.input == input_kind::device) dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
    if (how.input == input_kind::closed) close(0);
    dup2(out.write, 1);
    dup2(err.write, 2);
    if (chdir(directory.c_str()) == 0) execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  setpgid(id_, id_);
  close(in.read);
  close(out.write);
  close(err.write);
  in_ = in.write;
  out_ = out.read;
  err_ = err.read;
  watch_ = static_cast<int>(syscall(SYS_pidfd_open, id_, 0));
  if (watch_ < 0) fail("pidfd_open");
  if (how.input != input_kind::pipe) {
    close(in_);
    in_ = -1;
  }
  if (how.output_gone) {
    close(out_);
    out_ = -1;
  }
  for (const int one : {in_, out_, err_})
    if (one >= 0) fcntl(one, F_SETFL, O_NONBLOCK);
}

void cli_process::close_all() {
  for (int* one : {&in_, &out_, &err_, &watch_}) {
    if (*one >= 0) close(*one);
    *one = -1;
  }
}

cli_process::~cli_process() {
  kill(-id_, SIGKILL);
  if (!reaped_) {
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
  }
  close_all();
}

void cli_process::signal(int number) const {
  kill(id_, number);
}

bool cli_process::pump(std::int64_t deadline_ms) {
  const bool all = written_ == input_.size();
  if (in_ >= 0 && all && (!input_open_ || reaped_)) {
    close(in_);
    in_ = -1;
  }
  if (reaped_ && out_ < 0 && err_ < 0) return false;
  const auto left = deadline_ms - now_ms();
  if (left <= 0) {
    so_far_.in_time = false;
    return false;
  }
  pollfd set[4] = {
      {all ? -1 : in_, POLLOUT, 0}, {out_, POLLIN, 0}, {err_, POLLIN, 0}, {watch_, POLLIN, 0}};
  if (poll(set, 4, static_cast<int>(left)) <= 0) return true;
  if (set[0].revents != 0) {
    const auto done = ::write(in_, input_.data() + written_, input_.size() - written_);
    if (done > 0) written_ += static_cast<std::size_t>(done);
    if (done < 0 && errno != EAGAIN) written_ = input_.size();
  }
  const auto drain = [](int& descriptor, short ready, std::string& into) {
    if (ready == 0) return;
    char buffer[65536];
    const auto got = read(descriptor, buffer, sizeof(buffer));
    if (got > 0) into.append(buffer, static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
      close(descriptor);
      descriptor = -1;
    }
  };
  drain(out_, set[1].revents, so_far_.out);
  drain(err_, set[2].revents, so_far_.err);
  if (set[3].revents != 0) {
    int status = 0;
    waitpid(id_, &status, 0);
    reaped_ = true;
    so_far_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    close(watch_);
    watch_ = -1;
    if (in_ >= 0) written_ = input_.size();
  }
  return true;
}

bool cli_process::read_until(const std::function<bool(const ended&)>& condition,
                             std::int64_t timeout_ms) {
  const auto deadline_ms = now_ms() + timeout_ms;
  while (!condition(so_far_))
    if (!pump(deadline_ms)) return condition(so_far_);
  return true;
}

ended cli_process::wait(std::int64_t timeout_ms) {
  const auto deadline_ms = now_ms() + timeout_ms;
  while (pump(deadline_ms)) {
  }
  return so_far_;
}

ended run(const place& where, launch how) {
  return cli_process(where, std::move(how)).wait();
}
ended run(const place& where, std::vector<std::string> arguments) {
  launch how;
  how.arguments = std::move(arguments);
  return run(where, std::move(how));
}

std::vector<pid_t> processes_with(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code gone;
    auto known = content_of(entry.path() / "cmdline");
    for (auto& c : known)
      if (c == '\0') c = ' ';
    if (known.empty()) continue;  // a zombie
    known += "\n" + fs::read_symlink(entry.path() / "cwd", gone).string();
    const auto id = static_cast<pid_t>(std::stol(name));
    if (id != getpid() && known.find(text) != std::string::npos) found.push_back(id);
  }
  return found;
}

bool eventually(const std::function<bool()>& condition, std::int64_t timeout_ms) {
  const auto deadline_ms = now_ms() + timeout_ms;
  while (!condition()) {
    if (now_ms() > deadline_ms) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // between two looks
  }
  return true;
}

const std::vector<std::string>& result_members() {
  static const std::vector<std::string> members{
      "schema_version", "session_id",    "agent",       "provider",   "model",
      "text",           "finish_reason", "rounds",      "tool_calls", "permission_denials",
      "usage",          "cost_usd",      "duration_ms", "error",      "usage_by_model"};
  return members;
}
}  // namespace rustic::e2e
