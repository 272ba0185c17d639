#include "made_calls.hpp"

#include <chrono>
#include <rustic/status.hpp>
#include <vector>

namespace rustic::cell {

// Holds itself until its finish has come.
struct made_calls::call_state {
  std::shared_ptr<made_calls> owner;
  handle self;
  std::uint64_t id = 0;
  std::uint64_t generation = 0;
  rai_call made = 0;  // the host's name for it; one thread's alone

  std::mutex mutex;  // guards what follows
  send_window window;
  bool congested = false, paused = false;
};

made_calls::made_calls(const rai_host& host, std::shared_ptr<frame_queue> out,
                       std::function<bool(rai_call)> serves)
    : host_(host), out_(std::move(out)), serves_(std::move(serves)) {}

made_calls::handle made_calls::find(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second;
}

void made_calls::refuse(std::uint64_t id, rai_status status, std::string_view message) {
  error why;
  why.message = message;
  std::string bytes;
  frame_writer(bytes, frame_type::finish, id).i32(status).text(error_body(why)).end();
  out_->post(generation_, bytes);
}

// A child can name as a parent what it serves and what it has called, and nothing of others.
rai_call made_calls::parent_of(std::uint64_t given, bool& gone) {
  gone = false;
  if (given == 0 || serves_(given)) return given;
  const auto own = find(given);
  gone = !own || own->made == 0;
  return gone ? 0 : own->made;
}

bool made_calls::on_request(const frame& in) {
  frame_reader reader(in.payload);
  const auto given_parent = reader.u64();
  const bool wants_events = reader.u32() != 0;
  const rai_request request = get_request(reader);
  if (!reader.whole() || in.id == 0 || find(in.id)) return false;
  const std::string target(view(request.target));
  bool gone = false;
  const rai_call parent = parent_of(given_parent, gone);
  if (gone) {
    refuse(in.id, RAI_CANCELLED, "call of " + target + " refused: its parent has finished");
    return true;
  }
  const auto what = std::make_shared<call_state>();
  what->owner = shared_from_this();
  what->self = what;
  what->id = in.id;
  what->generation = generation_;
  bool full = false;
  {
    const std::lock_guard lock(mutex_);
    full = calls_.size() >= made_calls_max;
    if (!full) {
      calls_.emplace(in.id, what);
      ++open_;
    }
  }
  if (full) {
    what->self.reset();
    refuse(in.id, RAI_RESOURCE_EXHAUSTED,
           "call of " + target + " refused: the plugin has " + std::to_string(made_calls_max) +
               " calls in flight");
    return true;
  }
  const rai_observer observer{sizeof observer, 0, what.get(), wants_events ? &event : nullptr,
                              &finish};
  what->made = host_.call(host_.self, parent, &request, &observer);
  return true;
}

rai_flow made_calls::event(void* self, const rai_event* event) noexcept {
  auto& c = *static_cast<call_state*>(self);
  try {
    std::string bytes;
    bool fits = true;
    put_event(bytes, c.id, *event, fits);
    if (!fits) return RAI_STOP;
    // Held until the pause is noted: who hears meanwhile that the queue has room has to find it.
    const std::lock_guard lock(c.mutex);
    c.window.sent(event->text.len);
    const auto done = c.owner->out_->post(c.generation, bytes);
    if (done == frame_queue::outcome::gone) return RAI_STOP;
    c.congested = done == frame_queue::outcome::congested;
    c.paused = c.congested || c.window.full();
    return c.paused ? RAI_PAUSE : RAI_CONTINUE;
  } catch (...) {
    return RAI_STOP;
  }
}

void made_calls::finish(void* self, rai_status status, rai_str body) noexcept {
  const handle what = std::move(static_cast<call_state*>(self)->self);
  const auto owner = what->owner;
  try {
    std::string bytes;
    if (!frame_writer(bytes, frame_type::finish, what->id).i32(status).text(view(body)).end())
      frame_writer(bytes, frame_type::finish, what->id)
          .i32(RAI_RESOURCE_EXHAUSTED)
          .text(R"({"message":"the result has more bytes than an isolated plugin can take"})")
          .end();
    owner->out_->post(what->generation, bytes);
  } catch (...) {  // no memory: the child waits for this call until it ends
  }
  const std::lock_guard lock(owner->mutex_);
  const auto found = owner->calls_.find(what->id);
  if (found != owner->calls_.end() && found->second == what) owner->calls_.erase(found);
  --owner->open_;
  owner->ended_.notify_all();
}

bool made_calls::on_credit(const frame& in) {
  frame_reader reader(in.payload);
  const credit back{reader.u32(), reader.u64()};
  if (!reader.whole()) return false;
  const auto what = find(in.id);
  if (!what) return true;
  {
    const std::lock_guard lock(what->mutex);
    what->window.taken(back);
  }
  resume(*what);
  return true;
}

void made_calls::resume(call_state& what) {
  {
    const std::lock_guard lock(what.mutex);
    if (!what.paused || what.congested || what.window.full()) return;
    what.paused = false;
  }
  host_.resume(host_.self, what.made);
}

void made_calls::resume_all() {
  std::vector<handle> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, what] : calls_) all.push_back(what);
  }
  for (const auto& what : all) {
    {
      const std::lock_guard lock(what->mutex);
      what->congested = false;
    }
    resume(*what);
  }
}

void made_calls::on_cancel(std::uint64_t id) {
  if (const auto what = find(id); what && what->made != 0) host_.cancel(host_.self, what->made);
}

void made_calls::on_abandon(std::uint64_t id) {
  if (const auto what = find(id); what && what->made != 0) host_.abandon(host_.self, what->made);
}

void made_calls::cancel_all() {
  std::vector<handle> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, what] : calls_) all.push_back(what);
    calls_.clear();
  }
  for (const auto& what : all)
    if (what->made != 0) host_.cancel(host_.self, what->made);
}

bool made_calls::wait_ended(std::int64_t wait_ms) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, std::chrono::milliseconds(wait_ms), [&] { return open_ == 0; });
}

}  // namespace rustic::cell
