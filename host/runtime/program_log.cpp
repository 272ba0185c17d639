#include "host/runtime/program_log.hpp"

#include <spdlog/details/log_msg.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <rustic/json.hpp>

#include "host/runtime/host_services.hpp"
#include "host/runtime/limits.hpp"
#include "kernel/kernel.hpp"

namespace rustic::runtime {
namespace {

constexpr std::size_t secret_bytes_min = 6;  // hiding less would garble every line
constexpr std::string_view level_names[] = {"trace", "debug", "info", "warn", "error"};

std::string stamp() {
  const auto now = unix_now_ms();
  const auto seconds = static_cast<std::time_t>(now / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const auto used = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + used, sizeof(text) - used, ".%03dZ", static_cast<int>(now % 1000));
  return text;
}
}  // namespace

struct program_log::sink {
  explicit sink(const std::filesystem::path& file)
      : file_sink(file.string(), log_file_bytes_max, log_files_max) {}
  spdlog::sinks::rotating_file_sink_st file_sink;
};

int log_level_from(std::string_view name) noexcept {
  for (int level = 0; level < 5; ++level)
    if (level_names[level] == name) return level;
  return name == "off" ? RAI_LOG_ERROR + 1 : RAI_LOG_WARN;
}

program_log::program_log(std::filesystem::path file, int level, format how)
    : file_(std::move(file)), level_(level), format_(how) {}
program_log::~program_log() = default;

void program_log::hide(std::string secret) {
  if (secret.size() < secret_bytes_min) return;
  std::scoped_lock lock(mutex_);
  // Told with every request that needs it.
  if (std::find(secrets_.begin(), secrets_.end(), secret) != secrets_.end()) return;
  if (secrets_.size() >= log_secrets_max) secrets_.erase(secrets_.begin());
  secrets_.push_back(std::move(secret));
}
void program_log::attach(kernel::kernel* owner) {
  std::scoped_lock lock(mutex_);
  kernel_ = owner;
}
void program_log::copy_to_terminal(bool yes) {
  std::scoped_lock lock(mutex_);
  terminal_ = yes;
}
std::string program_log::problem() const {
  std::scoped_lock lock(mutex_);
  return problem_;
}

std::string program_log::line(int level, std::string_view plugin, rai_call call,
                              std::string_view text) {
  std::string message = to_utf8(text);
  for (const auto& secret : secrets_)
    for (auto at = message.find(secret); at != std::string::npos; at = message.find(secret, at))
      message.replace(at, secret.size(), "***");
  char trace[33] = {};
  rai_call_info info{};
  info.struct_size = sizeof(info);
  if (kernel_ && call != 0 && kernel_->info(call, &info) == RAI_OK)
    std::snprintf(trace, sizeof(trace), "%016llx%016llx",
                  static_cast<unsigned long long>(info.trace_high),
                  static_cast<unsigned long long>(info.trace_low));
  const auto name = level_names[level < 0 || level > 4 ? 4 : level];
  if (format_ == format::json) {
    json::object out{{"time", stamp()}, {"level", name}, {"message", message}};
    if (!plugin.empty()) out["plugin"] = plugin;
    if (trace[0]) out["trace_id"] = trace;
    return json::serialize(out);
  }
  // One line, and nothing for a terminal to obey; C1 controls are 0xC2 and one byte more.
  for (std::size_t i = 0; i < message.size(); ++i) {
    const auto byte = static_cast<unsigned char>(message[i]);
    const auto next = static_cast<unsigned char>(i + 1 < message.size() ? message[i + 1] : 0);
    if (byte < 0x20 || byte == 0x7f) message[i] = ' ';
    if (byte == 0xc2 && next >= 0x80 && next < 0xa0) message[i] = message[i + 1] = ' ';
  }
  std::string out = stamp() + " " + std::string(name);
  if (!plugin.empty()) out += " [" + std::string(plugin) + "]";
  if (trace[0]) out += std::string(" trace=") + trace;
  return out + " " + message;
}

void program_log::open_locked() {
  if (sink_) return;
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  const auto before = umask(077);
  try {
    sink_ = std::make_unique<sink>(file_);
  } catch (...) {
    umask(before);
    throw;
  }
  umask(before);
  sink_->file_sink.set_pattern("%v");
}

bool program_log::open() {
  std::scoped_lock lock(mutex_);
  try {
    open_locked();
  } catch (const std::exception& problem) {
    failed_ = true;
    problem_ = problem.what();
  }
  return !failed_;
}

void program_log::write(int level, std::string_view plugin, rai_call call, std::string_view text) {
  if (level < level_) return;
  std::scoped_lock lock(mutex_);
  const auto text_line = line(level, plugin, call, text);
  if (terminal_) std::fprintf(stderr, "%s\n", text_line.c_str());
  if (failed_ || file_.empty()) return;
  try {
    open_locked();
    sink_->file_sink.log(spdlog::details::log_msg("", spdlog::level::info, text_line));
    sink_->file_sink.flush();
  } catch (const std::exception& problem) {
    failed_ = true;
    problem_ = problem.what();
  }
}
}  // namespace rustic::runtime
