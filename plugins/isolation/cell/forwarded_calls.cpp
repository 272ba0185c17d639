#include "forwarded_calls.hpp"

#include <algorithm>
#include <cstdint>

namespace rustic::cell {

struct forwarded_calls::call_state {
  rai_call id = 0;
  std::atomic<std::uint64_t> generation{0};  // 0: parked
  std::atomic<std::uint32_t> resumes{0};
  std::atomic<bool> cancelled{false};
  std::atomic<bool> forwarded{false};

  // The cell's thread alone.
  struct event_copy {
    rai_event event;
    std::string text;
  };
  std::deque<event_copy> events;  // while the caller has paused
  receive_window window;
  bool paused = false, stopped = false, finished = false;
  rai_status status = RAI_OK;
  std::string body;
};

struct forwarded_calls::op_state {
  forwarded_calls& owner;
  handle call;
};

forwarded_calls::forwarded_calls(const rai_host& host, frame_queue& out, settings with)
    : host_(host), out_(out), settings_(std::move(with)) {}

void forwarded_calls::fail(rai_call id, const error& why) noexcept {
  try {
    const std::string body = error_body(why);
    host_.finish(host_.self, id, static_cast<rai_status>(why.code), to_str(body));
  } catch (...) {
    host_.finish(host_.self, id, RAI_RESOURCE_EXHAUSTED, {});
  }
}

void forwarded_calls::call(std::uint32_t service, const rai_request& request, rai_call id,
                           rai_op& op) noexcept {
  try {
    take(service, request, id, op);
  } catch (...) {
    remove(id);
    op = {};
    fail(id, current_error());
  }
}

void forwarded_calls::take(std::uint32_t service, const rai_request& request, rai_call id,
                           rai_op& op) {
  rai_call_info info{};
  info.struct_size = sizeof info;
  info.deadline_ms = INT64_MAX;
  host_.call_info(host_.self, id, &info);
  std::string bytes;
  bytes.reserve(256 + request.body.len + request.data.len + request.context.len);
  frame_writer writer(bytes, frame_type::call, id);
  writer.u32(service).i64(info.deadline_ms).u64(info.trace_high).u64(info.trace_low).u64(info.root);
  writer.text(view(info.caller));
  put_request(writer, request);
  if (!writer.end()) {
    fail(id,
         {status_code::resource_exhausted,
          "call of " + std::string(view(request.target)) + " refused: its request has more than " +
              std::to_string(frame_bytes_max) + " bytes, which an isolated plugin cannot take",
          "Make the request smaller, or set isolation = \"none\" for " + settings_.plugin + ".",
          {},
          {}});
    return;
  }
  const auto made = std::make_shared<call_state>();
  made->id = id;
  auto self = std::make_unique<op_state>(op_state{*this, made});
  op.struct_size = sizeof op;
  op.self = self.get();
  op.cancel = [](void* me) {
    const auto& state = *static_cast<op_state*>(me);
    state.owner.cancel(state.call);
  };
  op.resume = [](void* me) {
    const auto& state = *static_cast<op_state*>(me);
    state.owner.resume(state.call);
  };
  op.release = [](void* me) {
    const std::unique_ptr<op_state> state(static_cast<op_state*>(me));
    state->owner.release(state->call);
  };
  error why;
  if (!admit(made, bytes, why)) {
    op = {};
    return fail(id, why);
  }
  self.release();
  if (made->generation == 0) return settings_.wake();
  settings_.begun();
  const auto done = out_.post(made->generation, bytes, send_queue_bytes);
  if (done == frame_queue::outcome::refused && remove(id))
    fail(id, {status_code::resource_exhausted,
              "plugin " + settings_.plugin + " does not take its requests fast enough",
              "Try again later.",
              1'000,
              {}});
}

// Enters the call into the tables: as sent, or as parked while generation is 0.
bool forwarded_calls::admit(const handle& what, std::string& bytes, error& why) {
  bool serves = false;
  {
    const std::lock_guard lock(mutex_);
    serves = generation_ != 0;
  }
  if (!serves)
    if (auto refused = settings_.admit()) {
      why = std::move(*refused);
      return false;
    }
  const std::lock_guard lock(mutex_);
  const bool parks = generation_ == 0;
  if (calls_.size() >= served_calls_max ||
      (parks && (parked_.size() >= parked_calls_max || parked_bytes_ > parked_bytes_max))) {
    why = {status_code::resource_exhausted,
           "plugin " + settings_.plugin + " has too many calls in flight",
           "Try again later.",
           1'000,
           {}};
    return false;
  }
  what->generation = generation_;
  calls_.emplace(what->id, what);
  count_.store(calls_.size());
  if (!parks) return true;
  parked_bytes_ += bytes.size();
  parked_.emplace_back(what, std::move(bytes));
  return true;
}

forwarded_calls::handle forwarded_calls::find(rai_call id) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second;
}

// Whoever takes a call out of the table finishes it.
forwarded_calls::handle forwarded_calls::remove(rai_call id) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  if (found == calls_.end()) return nullptr;
  auto out = std::move(found->second);
  calls_.erase(found);
  count_.store(calls_.size());
  return out;
}

bool forwarded_calls::has(rai_call id) {
  return find(id) != nullptr;
}

bool forwarded_calls::parked() {
  const std::lock_guard lock(mutex_);
  return !parked_.empty();
}

void forwarded_calls::open(std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  generation_ = generation;
  for (auto& [what, bytes] : parked_) {
    if (!calls_.contains(what->id)) continue;
    what->generation = generation;
    out_.post(generation, bytes);
  }
  parked_.clear();
  parked_bytes_ = 0;
}

void forwarded_calls::close(const error& why) {
  std::vector<handle> failed;
  {
    const std::lock_guard lock(mutex_);
    generation_ = 0;
    std::erase_if(calls_, [&](const auto& entry) {
      if (entry.second->generation == 0) return false;
      failed.push_back(entry.second);
      return true;
    });
    count_.store(calls_.size());
    due_.clear();
    news_.clear();
  }
  for (const auto& what : failed)
    if (!what->forwarded.load()) fail(what->id, why);
}

void forwarded_calls::refuse_parked(const error& why) {
  std::vector<std::pair<handle, std::string>> refused;
  {
    const std::lock_guard lock(mutex_);
    refused.swap(parked_);
    parked_bytes_ = 0;
  }
  for (const auto& [what, bytes] : refused)
    if (remove(what->id)) fail(what->id, why);
}

void forwarded_calls::tell(const handle& what, frame_type type) {
  std::string bytes;
  frame_writer(bytes, type, what->id).end();
  out_.post(what->generation, bytes);
}

void forwarded_calls::cancel(const handle& what) {
  what->cancelled.store(true);
  bool waits = false;
  {
    const std::lock_guard lock(mutex_);
    waits = what->generation == 0;
    if (waits) {
      std::erase_if(parked_, [&](const auto& one) { return one.first == what; });
    } else {
      news_.push_back(what);
      due_.emplace_back(clock::now() + settings_.cancel_grace, what->id);
    }
  }
  if (waits) {
    if (remove(what->id))
      fail(what->id,
           {status_code::cancelled, "the call was cancelled before it began", {}, {}, {}});
    return;
  }
  tell(what, frame_type::cancel);
  settings_.wake();
}

void forwarded_calls::resume(const handle& what) {
  what->resumes.fetch_add(1);
  {
    const std::lock_guard lock(mutex_);
    news_.push_back(what);
  }
  settings_.wake();
}

void forwarded_calls::release(const handle& what) {
  if (!what->forwarded.load()) return;
  remove(what->id);
  tell(what, frame_type::release);
}

bool forwarded_calls::on_event(const frame& in) {
  rai_event event{};
  if (!get_event(in.payload, event)) return false;
  const auto what = find(in.id);
  if (!what || what->forwarded.load()) return true;  // it has ended meanwhile
  if (!what->window.came(event.text.len)) return false;
  if (what->paused || !what->events.empty()) {
    what->events.push_back({event, std::string(view(event.text))});
  } else {
    deliver_one(what, event);
  }
  return true;
}

void forwarded_calls::deliver_one(const handle& what, const rai_event& event) {
  call_state& c = *what;
  if (!c.stopped) {
    const auto resumes = c.resumes.load();
    const rai_flow flow = host_.emit(host_.self, c.id, &event);
    // A resume that came meanwhile stands in the list for deliver().
    if (flow == RAI_PAUSE && c.resumes.load() == resumes) c.paused = true;
    if (flow == RAI_STOP) {
      c.stopped = true;
      tell(what, frame_type::no_events);
    }
  }
  if (!c.window.took(event.text.len)) return;
  const credit back = c.window.give();
  std::string bytes;
  frame_writer(bytes, frame_type::credit, c.id).u32(back.events).u64(back.bytes).end();
  out_.post(c.generation, bytes);
}

void forwarded_calls::drain(const handle& what) {
  call_state& c = *what;
  while (!c.paused && !c.events.empty()) {
    const auto next = std::move(c.events.front());
    c.events.pop_front();
    rai_event event = next.event;
    event.text = str(next.text);
    deliver_one(what, event);
  }
  if (c.finished && c.events.empty()) complete(what, c.status, c.body);
}

void forwarded_calls::deliver() {
  std::vector<handle> news;
  {
    const std::lock_guard lock(mutex_);
    news.swap(news_);
  }
  for (const auto& what : news) {
    what->paused = false;
    if (find(what->id) == what) drain(what);
  }
}

bool forwarded_calls::on_finish(const frame& in) {
  frame_reader reader(in.payload);
  const rai_status status = reader.i32();
  const auto body = reader.text();
  if (!reader.whole()) return false;
  const auto what = find(in.id);
  if (!what || what->forwarded.load() || what->finished) return true;
  if (in.type == frame_type::give_up) what->events.clear();
  if (!what->events.empty()) {
    // They are told first, when the caller goes on or has been cancelled.
    what->finished = true;
    what->status = status;
    what->body = body;
  } else {
    complete(what, status, body);
  }
  return true;
}

void forwarded_calls::complete(const handle& what, rai_status status, std::string_view body) {
  if (remove(what->id)) host_.finish(host_.self, what->id, status, str(body));
}

bool forwarded_calls::on_forward(const frame& in) {
  frame_reader reader(in.payload);
  const rai_request request = get_request(reader);
  if (!reader.whole()) return false;
  const auto what = find(in.id);
  if (!what || what->forwarded.load() || what->finished) return true;
  what->forwarded.store(true);
  host_.forward(host_.self, what->id, &request);
  return true;
}

std::optional<forwarded_calls::clock::time_point> forwarded_calls::next_due() {
  const std::lock_guard lock(mutex_);
  while (!due_.empty()) {
    const auto found = calls_.find(due_.front().second);
    if (found != calls_.end() && !found->second->forwarded.load()) return due_.front().first;
    due_.pop_front();
  }
  return std::nullopt;
}

bool forwarded_calls::overdue(clock::time_point now) {
  const auto due = next_due();
  return due && *due <= now;
}

}  // namespace rustic::cell
