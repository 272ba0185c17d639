#include "own_calls.hpp"

#include <algorithm>
#include <cstring>
#include <deque>

#include "served_calls.hpp"

namespace rustic::cell {

class own_calls::call final : public step, public std::enable_shared_from_this<call> {
 public:
  explicit call(own_calls& home) : owner(home) {}
  void run() override { owner.settle(shared_from_this()); }

  struct event_copy {
    rai_event event;
    std::string text;
  };

  own_calls& owner;
  std::uint64_t id = 0;
  rai_observer observer{};

  std::mutex mutex;  // guards what follows
  std::deque<event_copy> events;
  receive_window window;
  std::uint32_t resumes = 0;
  bool busy = false, paused = false, cancelled = false, finished = false;
  rai_status status = RAI_OK;
  std::string body;
};

own_calls::handle own_calls::find(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second;
}

void own_calls::tell(frame_type type, std::uint64_t id) {
  out_.post(true, [&](std::string& out) { frame_writer(out, type, id).end(); });
}

rai_call own_calls::make(rai_call parent, const rai_request& from, const rai_observer& observer) {
  rai_request request{};
  std::memcpy(&request, &from, std::min<std::size_t>(from.struct_size, sizeof request));
  const auto made = std::make_shared<call>(*this);
  std::memcpy(&made->observer, &observer,
              std::min<std::size_t>(observer.struct_size, sizeof made->observer));
  {
    const std::lock_guard lock(mutex_);
    made->id = ++last_;
    calls_.emplace(made->id, made);
  }
  bool fits = true;
  out_.post(true, [&](std::string& out) {
    frame_writer writer(out, frame_type::request, made->id);
    writer.u64(parent).u32(made->observer.event != nullptr ? 1 : 0);
    put_request(writer, request);
    fits = writer.end();
  });
  if (fits) return made->id;
  {
    const std::lock_guard lock(mutex_);
    calls_.erase(made->id);
  }
  const std::string body = message_body("call of " + std::string(view(request.target)) +
                                        " refused: it has more bytes than leave an isolated "
                                        "plugin");
  if (made->observer.finish != nullptr)
    made->observer.finish(made->observer.self, RAI_RESOURCE_EXHAUSTED, str(body));
  return 0;
}

bool own_calls::on_event(const frame& in) {
  rai_event event{};
  if (!get_event(in.payload, event)) return false;
  const auto what = find(in.id);
  if (!what) return true;
  const std::lock_guard lock(what->mutex);
  if (what->cancelled || what->finished) return true;
  what->events.push_back({event, std::string(view(event.text))});
  if (what->events.size() == 1) threads_.schedule(what);
  return true;
}

bool own_calls::on_finish(const frame& in) {
  frame_reader reader(in.payload);
  const rai_status status = reader.i32();
  const auto body = reader.text();
  if (!reader.whole()) return false;
  const auto what = find(in.id);
  if (!what) return true;
  const std::lock_guard lock(what->mutex);
  what->finished = true;
  what->status = status;
  what->body = body;
  threads_.schedule(what);
  return true;
}

void own_calls::settle(const handle& what) {
  std::unique_lock lock(what->mutex);
  if (what->busy) return;
  what->busy = true;
  while (settle_one(what, lock)) {
  }
}

bool own_calls::settle_one(const handle& what, std::unique_lock<std::mutex>& lock) {
  call& c = *what;
  if (c.cancelled) c.events.clear();
  if (!c.events.empty() && !c.paused) {
    const call::event_copy next = std::move(c.events.front());
    c.events.pop_front();
    const std::uint32_t resumes = c.resumes;
    lock.unlock();
    rai_event event = next.event;
    event.text = str(next.text);
    rai_flow flow = RAI_CONTINUE;
    try {
      if (c.observer.event != nullptr) flow = c.observer.event(c.observer.self, &event);
    } catch (...) {
      flow = RAI_STOP;
    }
    if (flow == RAI_STOP) tell(frame_type::cancel_own, c.id);
    lock.lock();
    if (flow == RAI_STOP) c.cancelled = true;
    if (flow == RAI_PAUSE && c.resumes == resumes && !c.cancelled) c.paused = true;
    if (c.window.took(next.text.size())) {
      const credit back = c.window.give();
      lock.unlock();
      out_.post(true, [&](std::string& out) {
        frame_writer(out, frame_type::credit, c.id).u32(back.events).u64(back.bytes).end();
      });
      lock.lock();
    }
    return true;
  }
  if (c.finished && c.events.empty()) {
    {
      const std::lock_guard all(mutex_);
      calls_.erase(c.id);
    }
    lock.unlock();
    try {
      if (c.observer.finish != nullptr) c.observer.finish(c.observer.self, c.status, str(c.body));
    } catch (...) {  // the plugin's own affair
    }
    lock.lock();
    return false;  // busy for ever: nothing follows the finish
  }
  c.busy = false;
  return false;
}

void own_calls::cancel(rai_call id) {
  const auto what = find(id);
  if (!what) return;
  {
    const std::lock_guard lock(what->mutex);
    if (what->cancelled) return;
    what->cancelled = true;
    what->paused = false;
    if (what->finished) threads_.schedule(what, true);
  }
  tell(frame_type::cancel_own, id);
}

void own_calls::resume(rai_call id) {
  const auto what = find(id);
  if (!what) return;
  {
    const std::lock_guard lock(what->mutex);
    ++what->resumes;
    what->paused = false;
  }
  settle(what);
}

void own_calls::abandon(rai_call id) {
  if (find(id)) tell(frame_type::abandon, id);
}

}  // namespace rustic::cell
