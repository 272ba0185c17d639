// The thread of class cell: it listens to the child and keeps it alive.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cell.hpp"

namespace rustic::cell {
namespace {

constexpr std::string_view died_topic = "rustic.plugin.died";
constexpr int frame_reads_per_round = 4;
constexpr int last_frame_reads = 1'024;  // of a child that has ended: what it said still counts

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void cell::say(int level, std::string_view text, rai_call call) {
  if (RAI_HAS(&host_, log)) host_.log(host_.self, level, call, str(text));
}

void cell::say_limited(int level, std::string_view text, rai_call call) {
  if (!log_rate_.take(steady_ms())) return;
  if (const auto left_out = log_rate_.take_left_out(); left_out != 0)
    say(RAI_LOG_WARN, std::to_string(left_out) + " lines of it were left out");
  say(level, text, call);
}

void cell::loop() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (ended_) return;
    }
    try {
      round();
    } catch (...) {
      kill_for("the program has no memory for what it sends: " + current_error().message);
    }
  }
}

void cell::round() {
  start_what_is_wanted();
  enum { wake_at, frames_at, questions_at, output_at, keeper_at, first_leaving };
  std::vector<pollfd> watched(first_leaving, pollfd{-1, 0, 0});
  const bool deaf = outward_.full();
  watched[wake_at] = {wake_.get(), POLLIN, 0};
  if (child_) {
    const bool listens = !hung_up_ && !deaf;
    const auto writes = static_cast<short>(queue_->waiting() ? POLLOUT : 0);
    watched[frames_at] = {hung_up_ ? -1 : child_->frames.get(),
                          static_cast<short>((listens ? POLLIN : 0) | writes), 0};
    const bool answers = !unsent_answer_.empty();
    watched[questions_at] = {child_->questions.get(),
                             static_cast<short>(answers ? POLLOUT : POLLIN), 0};
    if (output_rate_.open(steady_ms())) watched[output_at] = {child_->output.get(), POLLIN, 0};
    watched[keeper_at] = {child_->keeper(), POLLIN, 0};
  }
  for (const auto& [process, due] : leaving_) watched.push_back({process->process(), POLLIN, 0});

  const int timeout_ms = poll_timeout_ms();
  ::poll(watched.data(), watched.size(), timeout_ms);
  asleep_.store(false);
  if (watched[wake_at].revents != 0) {
    std::uint64_t count = 0;
    while (::read(wake_.get(), &count, sizeof count) < 0 && errno == EINTR) {
    }
  }
  if (child_ && watched[frames_at].revents != 0) {
    if ((watched[frames_at].revents & POLLOUT) != 0) queue_->flush();
    if ((watched[frames_at].revents & ~POLLOUT) != 0) read_frames(frame_reads_per_round);
  }
  served_.deliver();
  if (child_ && watched[questions_at].revents != 0) read_questions();
  if (child_ && watched[output_at].revents != 0) read_output(false);
  if (child_ && watched[keeper_at].revents != 0) read_news();
  if (queue_->relieved()) outward_.post([this] { made_->resume_all(); });
  if (deaf || outward_.full()) on_deaf();
  on_time();
}

int cell::poll_timeout_ms() {
  auto next = std::min(load_due_, report_due_);
  for (const auto& [process, due] : leaving_) next = std::min(next, due);
  if (child_) {
    if (const auto due = served_.next_due()) next = std::min(next, std::max(*due, deaf_until_));
    if (pinged_) {
      next = std::min(next, *pinged_ + std::chrono::milliseconds(settings_.pong_timeout_ms));
    } else {
      // Without a call in flight nobody asks whether it is alive.
      const auto silent = heard_ + std::chrono::milliseconds(settings_.ping_after_ms);
      asleep_.store(true);
      if (silent > clock::now() || served_.busy()) {
        asleep_.store(false);
        next = std::min(next, silent);
      }
    }
    if (!output_rate_.open(steady_ms()))
      next = std::min(next, clock::now() + std::chrono::milliseconds(100));
  }
  if (next == clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void cell::start_what_is_wanted() {
  if (child_) return;
  bool wanted = false;
  std::optional<error> why;
  const bool parked = served_.parked();
  {
    const std::lock_guard lock(mutex_);
    wanted = std::exchange(launch_wanted_, false);
    if (!wanted && parked) {
      why = refusal_locked(unix_ms());
      wanted = by_itself_ = !why;
    }
  }
  if (why) served_.refuse_parked(*why);
  if (wanted) launch();
}

void cell::launch() {
  auto made = std::make_unique<child_process>();
  const auto problem =
      made->launch({settings_.program, settings_.id, image_.get(), settings_.environment});
  if (problem) return refused({RAI_UNAVAILABLE, *problem});
  child_ = std::move(made);
  ++generation_;
  frames_ = {};
  questions_ = {};
  unsent_answer_.clear();
  killed_because_.clear();
  stopped_by_.clear();
  hung_up_ = false;
  violation_.store(false);
  pinged_.reset();
  heard_ = clock::now();
  queue_->open(child_->frames.get(), generation_);
  outward_.hold(true);  // a plugin that is not started yet makes no calls
  outward_.post([this, generation = generation_] {
    made_->open(generation);
    bus_.open(generation);
  });
  {
    const std::lock_guard lock(mutex_);
    phase_ = phase::loading;
    forgotten_ = 0;
    generation_of_child_ = generation_;
    if (by_itself_) load_due_ = clock::now() + std::chrono::milliseconds(settings_.load_timeout_ms);
  }
  queue_->post(generation_, load_frame());
}

// The child said no, or could not even be had.
void cell::refused(const reply& answer) {
  bool by_itself = false;
  {
    const std::lock_guard lock(mutex_);
    by_itself = by_itself_;
    if (by_itself) {
      policy_.refused(unix_ms());
      phase_ = phase::none;
    } else {
      reply_ = answer;
      replied_.notify_all();
    }
  }
  if (!by_itself) return;  // whoever waits for the answer ends it
  forget_child();
  served_.refuse_parked({static_cast<status_code>(answer.status),
                         "plugin " + settings_.id + " could not be started again: " + answer.text,
                         {},
                         {},
                         {}});
}

void cell::read_frames(int rounds) {
  while (rounds-- > 0 && !hung_up_) {
    const auto room = frames_.room();
    const auto size = ::recv(child_->frames.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
      hung_up_ = true;
      report_due_ = std::min(report_due_, clock::now() + std::chrono::milliseconds(report_wait_ms));
      return;
    }
    const auto bytes = static_cast<std::size_t>(size);
    frames_.received(bytes);
    heard_ = clock::now();
    pinged_.reset();
    for (frame next;;) {
      const auto found = frames_.next(next);
      if (found == frame_buffer::found::partial) break;
      if (found == frame_buffer::found::whole && take(next)) {
        if (!child_) return;
        continue;
      }
      hung_up_ = true;  // nothing after it can be understood
      return kill_for("it sent something that is no answer");
    }
    if (bytes < room.size()) return;
  }
}

// False: no honest child sends that.
bool cell::take(const frame& in) {
  switch (in.type) {
    case frame_type::event:
      return served_.on_event(in);
    case frame_type::finish:
    case frame_type::give_up:
      return served_.on_finish(in);
    case frame_type::forward:
      return served_.on_forward(in);
    case frame_type::done:
      return on_done(in);
    case frame_type::pong:
      return true;
    case frame_type::log: {
      frame_reader reader(in.payload);
      const auto level = std::clamp<std::int32_t>(reader.i32(), RAI_LOG_TRACE, RAI_LOG_ERROR);
      const auto text = reader.text();
      if (!reader.whole()) return false;
      say_limited(level, text.substr(0, log_text_bytes_max), served_.has(in.id) ? in.id : 0);
      return true;
    }
    case frame_type::request:
    case frame_type::credit:
    case frame_type::cancel_own:
    case frame_type::abandon:
    case frame_type::publish:
    case frame_type::subscribe:
    case frame_type::unsubscribe:
      outward_.post(
          [this, type = in.type, id = in.id, payload = std::string(in.payload)] {
            if (outward({type, id, payload})) return;
            violation_.store(true);
            wake();
          },
          in.payload.size());
      return true;
    default:
      return false;
  }
}

// On the thread of outward_: the host's functions may take their time.
bool cell::outward(const frame& in) {
  switch (in.type) {
    case frame_type::request:
      return made_->on_request(in);
    case frame_type::credit:
      return made_->on_credit(in);
    case frame_type::cancel_own:
      made_->on_cancel(in.id);
      return true;
    case frame_type::abandon:
      made_->on_abandon(in.id);
      return true;
    case frame_type::subscribe:
      return bus_.on_subscribe(in);
    case frame_type::unsubscribe:
      bus_.on_unsubscribe(in.id);
      return true;
    default: {
      frame_reader reader(in.payload);
      const auto topic = reader.text();
      const auto body = reader.text();
      if (!reader.whole()) return false;
      // Of deaths only the cell tells: they decide who is quarantined.
      if (topic == died_topic) return true;
      if (RAI_HAS(&host_, publish)) host_.publish(host_.self, str(topic), str(body));
      return true;
    }
  }
}

bool cell::on_done(const frame& in) {
  frame_reader reader(in.payload);
  reply answer;
  answer.status = reader.i32();
  answer.text = reader.text();
  const std::string note(reader.text());
  if (!reader.whole() || answer.status < RAI_OK || answer.status > RAI_UNAUTHENTICATED)
    return false;
  if (!note.empty() && !noted_) {
    noted_ = true;
    say(RAI_LOG_WARN, "its confinement is not complete: " + note);
  }
  phase now = phase::none;
  bool by_itself = false;
  {
    const std::lock_guard lock(mutex_);
    now = phase_;
    by_itself = by_itself_;
  }
  if (now == phase::loading && answer.status == RAI_OK) {
    const std::lock_guard lock(mutex_);
    phase_ = by_itself ? phase::starting : phase::loaded;
    if (by_itself) {
      queue_->post(generation_, start_frame());
      return true;
    }
    reply_ = std::move(answer);
    replied_.notify_all();
    return true;
  }
  if (now == phase::starting && answer.status == RAI_OK) {
    if (answer.text.size() != settings_.targets.size()) return false;
    on_started(answer);
    return true;
  }
  if (by_itself && (now == phase::loading || now == phase::starting)) {
    refused(answer);
    return true;
  }
  const std::lock_guard lock(mutex_);
  if (forgotten_ > 0) {
    --forgotten_;
    return true;
  }
  if (!awaited_ || reply_) return false;
  if (now == phase::starting) phase_ = phase::loaded;
  reply_ = std::move(answer);
  replied_.notify_all();
  return true;
}

void cell::on_started(const reply& answer) {
  load_due_ = clock::time_point::max();
  served_.open(generation_);
  outward_.hold(false);
  const std::lock_guard lock(mutex_);
  phase_ = phase::ready;
  offered_ = answer.text;
  policy_.serves();
  started_ = true;
  if (by_itself_) {
    by_itself_ = false;
    return;
  }
  reply_ = answer;
  replied_.notify_all();
}

void cell::read_output(bool last) {
  char bytes[16 * 1024];
  for (int left = last ? 16 : 4; left > 0; --left) {
    const auto size = ::read(child_->output.get(), bytes, sizeof bytes);
    if (size == 0) child_->output.reset();  // nobody holds the other end any more
    if (size <= 0) break;
    output_rate_.take(steady_ms(), static_cast<std::uint64_t>(size));
    lines_.feed({bytes, static_cast<std::size_t>(size)},
                [&](std::string_view line) { say_limited(RAI_LOG_INFO, to_utf8(line)); });
  }
  if (last) lines_.flush([&](std::string_view line) { say_limited(RAI_LOG_INFO, to_utf8(line)); });
}

void cell::read_news() {
  bool keeper_gone = false;
  const auto report = child_->news(keeper_gone);
  if (report && report->news == keeper_news::stopped) {
    stopped_by_ = describe_end(WSTOPSIG(report->status)).signal;
    return;
  }
  if (!report && !keeper_gone) return;
  read_frames(last_frame_reads);
  if (!child_) return;
  gone(report ? describe_end(report->status) : ended_as{"its keeper was ended", {}, {}});
}

// Its word that a call has ended, or that it lives, may wait behind what others are slow to take:
// the times run from when it is heard again.
void cell::on_deaf() {
  const auto now = clock::now();
  deaf_until_ = now + std::chrono::milliseconds(settings_.cancel_grace_ms);
  if (pinged_) pinged_ = now;
}

void cell::on_time() {
  const auto now = clock::now();
  reap_leaving(now);
  if (!child_) return;
  if (violation_.load()) kill_for("it sent something that is no answer");
  if (queue_->overrun()) kill_for("it does not read what it is sent");
  if (now >= deaf_until_ && served_.overdue(now))
    kill_for("it did not end a cancelled call within " + std::to_string(settings_.cancel_grace_ms) +
             " ms");
  if (now >= load_due_) {
    load_due_ = clock::time_point::max();
    kill_for(not_ready());
  }
  on_silence(now);
  if (now < report_due_) return;
  if (killed_because_.empty()) return kill_for("it closed its connection");
  gone({});  // the keeper does not answer either
}

void cell::on_silence(clock::time_point now) {
  if (hung_up_) return;  // nobody listens
  if (pinged_) {
    if (now - *pinged_ < std::chrono::milliseconds(settings_.pong_timeout_ms)) return;
    kill_for("it does not answer" +
             (stopped_by_.empty() ? std::string() : ", stopped by " + stopped_by_));
  } else if (served_.busy() && now - heard_ >= std::chrono::milliseconds(settings_.ping_after_ms)) {
    pinged_ = now;
    std::string bytes;
    frame_writer(bytes, frame_type::ping).end();
    queue_->post(generation_, bytes);
  }
}

void cell::kill_for(std::string reason) {
  if (!child_ || !killed_because_.empty()) return;
  killed_because_ = std::move(reason);
  report_due_ = clock::now() + std::chrono::milliseconds(report_wait_ms);
  child_->kill();
}

// The plugin's process has ended.
void cell::gone(ended_as how) {
  if (!killed_because_.empty()) how = {killed_because_, {}, {}};
  error why;
  const auto now_ms = unix_ms();
  bool stopping = false;
  {
    const std::lock_guard lock(mutex_);
    stopping = phase_ == phase::stopping;
    if (stopping) {
      why = {status_code::unavailable, "plugin " + settings_.id + " has been stopped", {}, {}, {}};
    } else {
      why = death_locked(how, now_ms);
      phase_ = phase::none;
    }
    by_itself_ = false;
    if (awaited_ && !reply_) {
      reply_ = stopping ? reply{} : reply{RAI_UNAVAILABLE, why.message};
      replied_.notify_all();
    }
  }
  read_output(true);
  forget_child();
  // In this order: whoever hears of the death may call again at once, and that call waits for the
  // next child.
  served_.refuse_parked(why);
  served_.close(why);
  if (!stopping) tell_death(why, how, now_ms);
}

error cell::death_locked(const ended_as& how, std::int64_t now_ms) {
  policy_.died(now_ms);
  error why;
  why.code = status_code::unavailable;
  why.message = "plugin " + settings_.id + " died: " + how.reason;
  why.details = not_again("plugin_died");
  why.hint = policy_.quarantined()
                 ? "It is quarantined now: rustic-ai plugin enable " + settings_.id
                 : "The next call starts it again.";
  return why;
}

void cell::tell_death(const error& why, const ended_as& how, std::int64_t now_ms) {
  say(RAI_LOG_ERROR, why.message + "; " + why.hint);
  publish_death(how, now_ms);
}

// Everything below it ends; its end is waited for beside the next child.
void cell::forget_child() {
  load_due_ = report_due_ = clock::time_point::max();
  pinged_.reset();
  queue_->close();
  if (child_) {
    child_->hang_up();
    leaving_.emplace_back(std::move(child_),
                          clock::now() + std::chrono::milliseconds(keeper_wait_ms));
  }
  outward_.clear();
  outward_.hold(false);
  outward_.post([this] {
    bus_.clear();
    made_->cancel_all();
  });
  for (auto& [target, one] : provided_)
    if (std::exchange(one.bound, false)) host_.withdraw(host_.self, str(target));
}

void cell::reap_leaving(clock::time_point now) {
  std::erase_if(leaving_, [&](auto& one) {
    auto& [process, due] = one;
    if (process->reap()) return true;
    if (now >= due) process->end(0);
    return now >= due;
  });
}

void cell::publish_death(const ended_as& how, std::int64_t now_ms) {
  if (!RAI_HAS(&host_, publish)) return;
  json::object body;
  body["plugin"] = settings_.id;
  body["reason"] = how.reason;
  if (!how.signal.empty()) body["signal"] = how.signal;
  if (how.exit_code) body["exit_code"] = *how.exit_code;
  body["unix_ms"] = now_ms;
  {
    const std::lock_guard lock(mutex_);
    body["deaths"] = policy_.recent_deaths(now_ms);
    body["quarantined"] = policy_.quarantined();
  }
  const std::string text = json::serialize(body);
  host_.publish(host_.self, str(died_topic), str(text));
}

}  // namespace rustic::cell
