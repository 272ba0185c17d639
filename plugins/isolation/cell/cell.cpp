#include "cell.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

namespace rustic::cell {
namespace {

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

descriptor open_image(const cell_settings& settings) {
  descriptor out(::open(settings.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!out)
    throw failure(status_code::failed_precondition,
                  "loading it failed: " + settings.file + ": " + std::strerror(errno));
  return out;
}

}  // namespace

cell::cell(const rai_host& host, cell_settings settings)
    : host_(host),
      settings_(std::move(settings)),
      image_(open_image(settings_)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      queue_(std::make_shared<frame_queue>([this] { wake(); })),
      served_(host_, *queue_,
              {.plugin = settings_.id,
               .cancel_grace = std::chrono::milliseconds(settings_.cancel_grace_ms),
               .admit = [this] { return admit(); },
               .wake = [this] { wake(); },
               .begun =
                   [this] {
                     if (asleep_.exchange(false)) wake();
                   }}),
      made_(std::make_shared<made_calls>(host_, queue_,
                                         [this](rai_call id) { return served_.has(id); })),
      bus_(host_, *queue_),
      policy_(settings_.deaths_unix_ms, settings_.quarantined),
      outward_([this] { wake(); }) {
  std::uint32_t number = 0;
  for (const auto& target : settings_.targets)
    forwarders_.emplace(target, std::make_unique<forwarder>(*this, number++));
  if (!wake_) throw failure(status_code::resource_exhausted, "too many files are open");
  if (policy_.quarantined()) return;
  std::unique_lock lock(mutex_);
  launch_wanted_ = true;
  thread_ = std::thread([this] { loop(); });
  const reply answer = wait_reply(lock, settings_.load_timeout_ms);
  lock.unlock();
  if (answer.status == RAI_OK) return;
  end_thread();
  if (answer.late) late_death();
  require_ok(answer);
}

// What takes too long to load or to start is dead like what crashed there: whoever calls it would
// wait as long each time. Its thread has ended.
void cell::late_death() {
  const auto now_ms = unix_ms();
  const ended_as how{not_ready(), {}, {}};
  error why;
  {
    const std::lock_guard lock(mutex_);
    why = death_locked(how, now_ms);
  }
  tell_death(why, how, now_ms);
  throw failure(why);
}

std::string cell::not_ready() const {
  return "it was not ready within " + std::to_string(settings_.load_timeout_ms) + " ms";
}

cell::~cell() {
  end_thread();
}

void cell::wake() {
  const std::uint64_t one = 1;
  while (::write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void cell::require_ok(const reply& answer) {
  if (answer.status != RAI_OK) throw failure(static_cast<status_code>(answer.status), answer.text);
}

json::object cell::not_again(std::string_view kind) {
  return {{"kind", kind}, {"should_retry", false}};
}

// The answer to what was sent last, or why there is none.
cell::reply cell::wait_reply(std::unique_lock<std::mutex>& lock, std::int64_t timeout_ms) {
  awaited_ = true;
  replied_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                    [&] { return reply_.has_value(); });
  awaited_ = false;
  if (!reply_)
    return {RAI_DEADLINE_EXCEEDED,
            "it has not answered within " + std::to_string(timeout_ms) + " ms", true};
  reply out = std::move(*reply_);
  reply_.reset();
  return out;
}

cell::reply cell::ask(frame_type type, phase before, phase during, const std::string& bytes) {
  std::unique_lock lock(mutex_);
  if (phase_ != before) {
    return {RAI_UNAVAILABLE, "plugin " + settings_.id + " is not running"};
  }
  phase_ = during;
  reply_.reset();
  queue_->post(generation_of_child_, bytes);
  const auto timeout_ms = type == frame_type::stop ? stop_timeout_ms : settings_.load_timeout_ms;
  reply out = wait_reply(lock, timeout_ms);
  if (out.late) ++forgotten_;
  // After its answer to "stop" the child ends, and that is no death.
  if (phase_ == during && type != frame_type::start && type != frame_type::stop) phase_ = before;
  return out;
}

std::string cell::load_frame() const {
  std::string out;
  frame_writer writer(out, frame_type::load);
  writer.u32(protocol_number).text(settings_.config);
  writer.u64(settings_.memory_bytes).u64(settings_.open_files);
  writer.u64(settings_.processes).u64(settings_.cpu_seconds);
  writer.u32(static_cast<std::uint32_t>(settings_.write_paths.size()));
  for (const auto& path : settings_.write_paths) writer.text(path);
  writer.end();
  return out;
}

std::string cell::start_frame() const {
  std::string out;
  frame_writer writer(out, frame_type::start);
  writer.u32(static_cast<std::uint32_t>(settings_.targets.size()));
  for (const auto& target : settings_.targets) writer.text(target);
  writer.end();
  return out;
}

void cell::start() {
  {
    const std::lock_guard lock(mutex_);
    if (policy_.quarantined()) {
      offered_.assign(settings_.targets.size(), '1');
      started_ = true;
      return;
    }
  }
  const reply answer = ask(frame_type::start, phase::loaded, phase::starting, start_frame());
  if (answer.late) {
    end_thread();
    late_death();
  }
  require_ok(answer);
}

std::string cell::save() {
  std::string bytes;
  frame_writer(bytes, frame_type::save).end();
  {
    const std::lock_guard lock(mutex_);
    if (phase_ == phase::none) return {};  // what it knew died with it
  }
  reply answer = ask(frame_type::save, phase::ready, phase::ready, bytes);
  require_ok(answer);
  return std::move(answer.text);
}

void cell::restore(std::string_view state) {
  std::string bytes;
  if (!frame_writer(bytes, frame_type::restore).text(state).end())
    throw failure(status_code::resource_exhausted, "its state is too long");
  {
    const std::lock_guard lock(mutex_);
    if (policy_.quarantined()) return;
  }
  require_ok(ask(frame_type::restore, phase::loaded, phase::loaded, bytes));
}

void cell::stop() {
  bool runs = false;
  phase now = phase::none;
  {
    const std::lock_guard lock(mutex_);
    now = phase_;
    runs = now == phase::ready || now == phase::loaded;
  }
  if (runs) {
    std::string bytes;
    frame_writer(bytes, frame_type::stop).end();
    const reply answer = ask(frame_type::stop, now, phase::stopping, bytes);
    if (answer.status != RAI_OK) say(RAI_LOG_WARN, "stopping it failed: " + answer.text);
  }
  end_thread();
}

// What is below ends with the child; calls that the plugin made are cancelled and waited for.
void cell::end_thread() {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
  }
  wake();
  if (thread_.joinable()) thread_.join();
  queue_->close();
  for (auto& [process, due] : leaving_) process->end(keeper_wait_ms);
  leaving_.clear();
  if (child_) child_->end(keeper_wait_ms);
  child_.reset();
  const error why{
      status_code::unavailable, "plugin " + settings_.id + " is being stopped", {}, {}, {}};
  served_.close(why);
  served_.refuse_parked(why);
  outward_.clear();
  outward_.hold(false);
  outward_.post([this] {
    bus_.clear();
    made_->cancel_all();
  });
  outward_.stop();
  for (auto& [target, one] : provided_)
    if (one.bound) host_.withdraw(host_.self, str(target));
  // One that takes no notice keeps what it needs and ends on its own.
  if (!made_->wait_ended(keeper_wait_ms))
    say(RAI_LOG_WARN, "calls that it made have not ended although they were cancelled");
}

std::vector<std::string> cell::offered() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < settings_.targets.size() && i < offered_.size(); ++i)
    if (offered_[i] == '1') out.push_back(settings_.targets[i]);
  return out;
}

rai_service cell::service_of(forwarder& to) {
  return {sizeof(rai_service), 0, &to,
          [](void* self, const rai_request* request, rai_call id, rai_op* op) {
            auto& target = *static_cast<forwarder*>(self);
            target.owner.served_.call(target.number.load(), *request, id, *op);
          }};
}

rai_service cell::service(std::string_view target) {
  const auto found = forwarders_.find(target);
  if (found == forwarders_.end())
    throw failure(status_code::not_found, "it does not offer " + std::string(target));
  return service_of(*found->second);
}

// Why no child can be had for a call that has come; nothing when one can.
std::optional<error> cell::refusal_locked(std::int64_t now_ms) const {
  error why;
  why.code = status_code::unavailable;
  const std::string name = "plugin " + settings_.id;
  if (policy_.quarantined()) {
    why.message = name + " is quarantined: it died " + std::to_string(deaths_until_quarantine) +
                  " times within " + std::to_string(death_window_ms / 60'000) + " minutes";
    why.hint = "rustic-ai plugin enable " + settings_.id;
    why.details = not_again("plugin_quarantined");
    return why;
  }
  if (ended_ || !started_) {
    why.message = name + (ended_ ? " has been stopped" : " has not been started");
    return why;
  }
  const auto wait_ms = policy_.wait_ms(now_ms);
  if (phase_ != phase::none || wait_ms == 0) return std::nullopt;
  why.message = name + " has died and is started again in " + std::to_string(wait_ms) + " ms";
  why.hint = "Try again later.";
  why.retry_after_ms = wait_ms;
  return why;
}

std::optional<error> cell::admit() {
  const std::lock_guard lock(mutex_);
  return refusal_locked(unix_ms());
}

}  // namespace rustic::cell
