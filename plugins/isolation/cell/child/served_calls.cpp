#include "served_calls.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <limits>

namespace rustic::cell {
namespace {
using clock = std::chrono::steady_clock;

// A growable struct of any size as this program knows it.
template <class Struct>
Struct known(const Struct& given) noexcept {
  Struct out{};
  std::memcpy(&out, &given, std::min<std::size_t>(given.struct_size, sizeof out));
  out.struct_size = sizeof out;
  return out;
}
}  // namespace

// Who sets `busy` runs the plugin's functions for this call, one after the other; whoever changes
// something meanwhile leaves it to him.
class served_calls::call final : public step, public std::enable_shared_from_this<call> {
 public:
  call(served_calls& home, std::uint64_t number, std::string_view bytes)
      : owner(home), id(number), payload(bytes) {}
  void run() override { owner.settle(shared_from_this()); }

  served_calls& owner;
  const std::uint64_t id;
  const std::string payload;  // of the frame: what follows points into it
  std::uint32_t service = 0;
  rai_request request{};
  rai_call_info info{};
  clock::time_point due = clock::time_point::max();

  std::mutex mutex;  // guards what follows
  rai_op op{};
  bool busy = false, entered = false;
  bool cancelled = false, cancel_wanted = false;
  bool pause_told = false, resume_wanted = false;
  bool no_events = false;
  bool finished = false;  // by the plugin
  bool answered = false;  // to the program
  bool forwarded = false, release_wanted = false;
  send_window window;
};

std::string message_body(std::string_view message) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "{\"message\":\"";
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (byte < 0x20) {
      ((out += "\\u00") += hex[byte >> 4]) += hex[byte & 15];
    } else {
      out += c;
    }
  }
  return out += "\"}";
}

void served_calls::set(std::uint32_t number, const rai_service& service) {
  const std::lock_guard lock(mutex_);
  services_[number] = known(service);
}

served_calls::handle served_calls::find(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second;
}

bool served_calls::on_call(const frame& in) {
  const auto made = std::make_shared<call>(*this, in.id, in.payload);
  frame_reader reader(made->payload);
  made->service = reader.u32();
  const std::int64_t deadline_ms = reader.i64();
  made->info.struct_size = sizeof made->info;
  made->info.trace_high = reader.u64();
  made->info.trace_low = reader.u64();
  made->info.root = reader.u64();
  made->info.caller = str(reader.text());
  made->request = get_request(reader);
  made->info.context = made->request.context;
  if (!reader.whole()) return false;
  // What lies further ahead than a year is never.
  constexpr std::int64_t far_ms = std::int64_t{365} * 24 * 3600 * 1000;
  if (deadline_ms < far_ms)
    made->due = clock::now() + std::chrono::milliseconds(std::max<std::int64_t>(deadline_ms, 0));
  bool offered = false;
  {
    const std::lock_guard lock(mutex_);
    offered = services_.contains(made->service);
    if (offered && !calls_.emplace(in.id, made).second) return false;
  }
  if (offered) {
    threads_.schedule(made);
    return true;
  }
  // It did when it was started before, and what was bound then is called now.
  answer(in.id, RAI_NOT_FOUND,
         message_body("call of " + std::string(view(made->request.target)) +
                      " refused: the plugin does not offer it since it was started again"));
  return true;
}

void served_calls::on_cancel(std::uint64_t id) {
  const auto what = find(id);
  if (!what) return;
  const std::lock_guard lock(what->mutex);
  if (what->cancelled) return;
  what->cancelled = what->cancel_wanted = true;
  what->pause_told = what->resume_wanted = false;
  threads_.schedule(what);
}

void served_calls::on_release(std::uint64_t id) {
  const auto what = find(id);
  if (!what) return;
  const std::lock_guard lock(what->mutex);
  what->release_wanted = true;
  threads_.schedule(what);
}

void served_calls::on_no_events(std::uint64_t id) {
  const auto what = find(id);
  if (!what) return;
  const std::lock_guard lock(what->mutex);
  what->no_events = true;
}

bool served_calls::on_credit(const frame& in) {
  frame_reader reader(in.payload);
  const credit back{reader.u32(), reader.u64()};
  if (!reader.whole()) return false;
  const auto what = find(in.id);
  if (!what) return true;
  const std::lock_guard lock(what->mutex);
  what->window.taken(back);
  if (!what->pause_told || what->window.full()) return true;
  what->pause_told = false;
  what->resume_wanted = true;
  threads_.schedule(what);
  return true;
}

void served_calls::settle(const handle& what) {
  std::unique_lock lock(what->mutex);
  if (what->busy) return;
  what->busy = true;
  while (settle_one(what, lock)) {
  }
}

// One step. False: there is none now, or the call is over.
bool served_calls::settle_one(const handle& what, std::unique_lock<std::mutex>& lock) {
  call& c = *what;
  const auto run = [&](auto function) {
    lock.unlock();
    try {
      function(c.op.self);
    } catch (...) {  // the plugin's own affair: the call goes on
    }
    lock.lock();
  };
  if (!c.entered) {
    c.entered = true;
    lock.unlock();
    enter(c);
    lock.lock();
    return true;
  }
  if ((c.finished && !c.forwarded) || c.release_wanted) {
    {
      const std::lock_guard all(mutex_);
      calls_.erase(c.id);
    }
    if (RAI_HAS(&c.op, release)) run(c.op.release);
    return false;  // busy for ever: nothing runs after release
  }
  if (c.cancel_wanted) {
    c.cancel_wanted = false;
    if (RAI_HAS(&c.op, cancel)) run(c.op.cancel);
    return true;
  }
  if (c.resume_wanted) {
    c.resume_wanted = false;
    if (RAI_HAS(&c.op, resume)) run(c.op.resume);
    return true;
  }
  c.busy = false;
  return false;
}

void served_calls::enter(call& what) {
  rai_service service;
  {
    const std::lock_guard lock(mutex_);
    service = services_[what.service];
  }
  rai_op op{};
  op.struct_size = sizeof op;
  std::string thrown;
  try {
    service.call(service.self, &what.request, what.id, &op);
  } catch (const std::exception& error) {
    thrown = std::string("its call function threw: ") + error.what();
  } catch (...) {
    thrown = "its call function threw";
  }
  if (!thrown.empty()) {
    op = {};
    const std::string body =
        message_body("call of " + std::string(view(what.request.target)) + " failed: " + thrown);
    finish(what.id, RAI_INTERNAL, str(body));
  }
  const std::lock_guard lock(what.mutex);
  what.op = known(op);
}

rai_flow served_calls::emit(rai_call id, const rai_event& event) {
  const auto what = find(id);
  if (!what) return RAI_STOP;
  bool overrun = false, pause = false;
  {
    const std::lock_guard lock(what->mutex);
    call& c = *what;
    if (c.finished || c.answered || c.forwarded || c.cancelled || c.no_events) return RAI_STOP;
    overrun = c.window.overrun();
    if (!overrun) {
      c.window.sent(event.text.len);
      pause = c.window.full();
      c.pause_told |= pause;
    } else {
      c.answered = c.cancelled = c.cancel_wanted = true;
      threads_.schedule(what, true);
    }
  }
  if (overrun) {
    const auto body = message_body("call of " + std::string(view(what->request.target)) +
                                   " was cancelled: too many events waited for its caller");
    out_.post(true, [&](std::string& out) {
      frame_writer(out, frame_type::give_up, id).i32(RAI_RESOURCE_EXHAUSTED).text(body).end();
    });
    return RAI_STOP;
  }
  bool fits = true;
  out_.post(false, [&](std::string& out) { put_event(out, id, event, fits); });
  if (fits) return pause ? RAI_PAUSE : RAI_CONTINUE;
  return RAI_STOP;
}

void served_calls::answer(std::uint64_t id, rai_status status, std::string_view body) {
  out_.post(true, [&](std::string& out) {
    if (frame_writer(out, frame_type::finish, id).i32(status).text(body).end()) return;
    frame_writer(out, frame_type::finish, id)
        .i32(RAI_RESOURCE_EXHAUSTED)
        .text(message_body("the result has " + std::to_string(body.size()) + " bytes, at most " +
                           std::to_string(frame_bytes_max) + " leave an isolated plugin"))
        .end();
  });
}

void served_calls::finish(rai_call id, rai_status status, rai_str body) {
  const auto what = find(id);
  if (!what) return;
  bool tell = false;
  {
    const std::lock_guard lock(what->mutex);
    if (what->finished || what->forwarded) return;  // once and no more
    what->finished = true;
    tell = !what->answered;
    what->answered = true;
  }
  if (tell) answer(id, status, view(body));
  settle(what);
}

void served_calls::forward(rai_call id, const rai_request& from) {
  const auto what = find(id);
  if (!what) return;
  {
    const std::lock_guard lock(what->mutex);
    if (what->finished || what->forwarded || what->answered) return;
    what->forwarded = true;
  }
  const rai_request request = known(from);
  bool fits = true;
  out_.post(true, [&](std::string& out) {
    frame_writer writer(out, frame_type::forward, id);
    put_request(writer, request);
    fits = writer.end();
  });
  if (fits) return;
  {
    const std::lock_guard lock(what->mutex);
    what->forwarded = false;
  }
  const std::string body = message_body(
      "forward refused: the request has more bytes than leave "
      "an isolated plugin");
  finish(id, RAI_RESOURCE_EXHAUSTED, str(body));
}

rai_status served_calls::info(rai_call id, rai_call_info* out) {
  const auto what = find(id);
  if (!what) return RAI_NOT_FOUND;
  rai_call_info found = what->info;
  {
    const std::lock_guard lock(what->mutex);
    found.cancelled = what->cancelled ? 1 : 0;
  }
  found.deadline_ms = std::numeric_limits<std::int64_t>::max();
  if (what->due != clock::time_point::max()) {
    const auto left = what->due - clock::now();
    found.deadline_ms = std::max<std::int64_t>(
        0, std::chrono::duration_cast<std::chrono::milliseconds>(left).count());
  }
  found.struct_size = std::min<std::uint32_t>(out->struct_size, sizeof found);
  std::memcpy(out, &found, found.struct_size);
  return RAI_OK;
}

}  // namespace rustic::cell
