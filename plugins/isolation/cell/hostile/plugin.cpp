// A plugin for tests of the cell: dies, hangs, floods and lies in the ways that its calls name.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <rustic/plugin.hpp>
#include <thread>

namespace {
using namespace rustic;

constexpr int frames_descriptor = 3;  // of the cell's child: no honest plugin knows it

[[noreturn]] void die(std::string_view how) {
  if (how == "segv") {
    ::raise(SIGSEGV);
  } else if (how == "abort") {
    ::abort();
  } else if (how == "exit") {
    ::exit(3);
  } else if (how == "_exit") {
    ::_exit(4);
  } else if (how == "kill") {
    ::kill(::getpid(), SIGKILL);
  } else if (how == "terminate") {
    std::set_terminate([] { ::abort(); });
    std::terminate();
  } else if (how == "overflow") {
    std::function<int(int)> deeper = [&](int n) {
      volatile char room[4096];
      room[0] = static_cast<char>(n);
      return room[0] + deeper(n + 1);
    };
    deeper(0);
  }
  for (;;) ::pause();
}

// Takes memory until there is none, then gives up as most programs do.
[[noreturn]] void eat_memory() {
  constexpr std::size_t piece_bytes = 16u << 20;
  for (;;) std::memset(new char[piece_bytes], 1, piece_bytes);
}

// A process in a session of its own, twice removed, that nobody asks to end. Writes its id.
int start_detached() {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t first = ::fork();
  if (first == 0) {
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    ::setsid();
    ::signal(SIGTERM, SIG_IGN);
    const pid_t self = ::getpid();
    if (::write(ends[1], &self, sizeof self) < 0) ::_exit(1);
    ::close(ends[1]);
    for (;;) ::pause();
  }
  ::waitpid(first, nullptr, 0);
  pid_t out = -1;
  if (::read(ends[0], &out, sizeof out) < 0) out = -1;
  ::close(ends[0]);
  ::close(ends[1]);
  return out;
}

// Processes that start two each, so many times, each in a session of its own or all in the
// plugin's. They bear this name.
void multiply(std::int64_t depth, bool apart) {
  for (int twice = 0; twice < 2 && depth > 0; ++twice) {
    if (::fork() != 0) continue;
    if (apart) ::setsid();
    ::prctl(PR_SET_NAME, "hostile-many");
    multiply(depth - 1, apart);
    for (;;) ::pause();
  }
}

void send_garbage(std::string_view which) {
  std::string bytes(64, '\xA5');
  if (which == "long") bytes = std::string("\xFF\xFF\xFF\xFF\x14\0\0\0", 8) + std::string(8, '\1');
  if (which == "type") bytes = std::string("\0\0\0\0\xEE\x03\0\0", 8) + std::string(8, '\1');
  if (which == "short") bytes = std::string("\x02\0\0\0\x1e\0\0\0", 8) + std::string(10, '\1');
  if (which == "done") {
    bytes = std::string("\x0c\0\0\0\x1e\0\0\0", 8) + std::string(8 + 12, '\0');
  }
  if (::send(frames_descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
  for (;;) ::pause();
}

struct hostile {
  explicit hostile(setup& setup) : host(setup.host()) {
    const auto how = text_or(setup.config(), "die_in_create");
    if (!how.empty()) die(how);
    start_how = text_or(setup.config(), "die_in_start");
    start_call = text_or(setup.config(), "call_at_start");
    setup.limit_threads(16);
    setup.blocking("rustic.test/hostile", [this](context& ctx) { return serve(ctx); });
    save_waits_for = text_or(setup.config(), "save_waits_for");             // that file
    const std::string withheld(text_or(setup.config(), "withheld_while"));  // that file is there
    if (withheld.empty() || ::access(withheld.c_str(), F_OK) != 0)
      setup.raw("rustic.test/raw", raw_service());
  }
  ~hostile() {
    if (caller.joinable()) caller.join();
  }
  rai_service raw_service() {
    rai_service raw{};
    raw.struct_size = sizeof raw;
    raw.self = this;
    raw.call = [](void* self, const rai_request* request, rai_call id, rai_op* op) {
      static_cast<hostile*>(self)->serve_raw(*request, id, *op);
    };
    return raw;
  }
  std::string save() {
    while (!save_waits_for.empty() && ::access(save_waits_for.c_str(), F_OK) != 0) ::usleep(1'000);
    return kept;
  }
  void restore(std::string_view saved) { kept = saved; }
  void start() {
    if (!start_how.empty()) die(start_how);
    if (start_call.empty()) return;
    caller = std::thread([this] {
      rai_request request{};
      request.struct_size = sizeof request;
      request.target = to_str(start_call);
      request.method = to_str("echo");
      request.body = to_str("{}");
      const rai_observer observer{sizeof observer, 0, nullptr, nullptr,
                                  [](void*, rai_status, rai_str) {}};
      host.call(host.self, 0, &request, &observer);
    });
  }

  std::string serve(context& ctx) {
    const auto body = ctx.request().object();
    const auto& method = ctx.request().method;
    const std::string how(text_or(body, "how"));
    if (method == "echo") return ctx.request().body;
    if (method == "pid") return "{\"pid\":" + std::to_string(::getpid()) + "}";
    if (method == "parent") return "{\"pid\":" + std::to_string(::getppid()) + "}";
    if (method == "ask") {
      const auto result = ctx.call_blocking({.target = "rustic.test/raw", .method = "echo"});
      if (!result.ok()) throw failure(result.problem());
      return result.body;
    }
    if (method == "ask_gate") return ask_gate(ctx);
    if (method == "meddle") {
      const auto id = static_cast<rai_call>(int_or(body, "call")) << 1;
      for (const auto one : {id, id | 1}) {
        host.finish(host.self, one, RAI_OK, to_str("{}"));
        host.cancel(host.self, one);
        host.resume(host.self, one);
        host.abandon(host.self, one);
        rai_event event{};
        if (host.emit(host.self, one, &event) != RAI_STOP)
          throw failure(status_code::internal, "?");
      }
      return "{}";
    }
    if (method == "subscribe") {
      subscription = host.subscribe(
          host.self, to_str(text_or(body, "pattern")),
          [](void* self, rai_str topic, rai_str text) {
            auto& me = *static_cast<hostile*>(self);
            const std::scoped_lock lock(me.mutex);
            (me.heard += to_view(topic)) += ' ';
            (me.heard += to_view(text)) += "; ";
          },
          this);
      if (subscription == 0) throw failure(status_code::invalid_argument, "no such pattern");
      return "{}";
    }
    if (method == "unsubscribe") {
      host.unsubscribe(host.self, subscription);
      return "{}";
    }
    if (method == "heard") {
      const std::scoped_lock lock(mutex);
      return json::serialize(json::object{{"heard", heard}});
    }
    if (method == "publish") {
      for (int i = 0; i < int_or(body, "count"); ++i)
        host.publish(host.self, to_str(text_or(body, "topic")), to_str("{}"));
      return "{}";
    }
    if (method == "list") {
      std::string found;
      host.list(
          host.self, to_str(text_or(body, "pattern")),
          [](void* self, rai_str target, rai_str) {
            (*static_cast<std::string*>(self) += to_view(target)) += ' ';
          },
          &found);
      return json::serialize(json::object{{"found", found}});
    }
    if (method == "provide") {
      const rai_service service = raw_service();
      const auto status =
          host.provide(host.self, to_str(text_or(body, "target")), to_str("{}"), &service);
      return "{\"status\":" + std::to_string(status) + "}";
    }
    if (method == "withdraw") {
      host.withdraw(host.self, to_str(text_or(body, "target")));
      return "{}";
    }
    if (method == "remember") {
      kept = text_or(body, "text");
      return "{}";
    }
    if (method == "recall") return json::serialize(json::object{{"text", kept}});
    if (method == "die") die(how);
    if (method == "multiply") {
      multiply(int_or(body, "depth"), bool_or(body, "apart"));
      if (!how.empty()) die(how);
      return "{}";
    }
    if (method == "emit_and_die") {
      for (int i = 0; i < 100; ++i) ctx.text(std::to_string(i));
      die(how);
    }
    if (method == "memory") eat_memory();
    if (method == "hang") {
      for (;;) ::pause();
    }
    if (method == "close") {
      for (int number = 0; number < 64; ++number) ::close(number);
      for (;;) ::pause();
    }
    if (method == "stop_itself") {
      ::raise(SIGSTOP);
      return "{}";
    }
    if (method == "garbage") send_garbage(how);
    if (method == "detached") return "{\"pid\":" + std::to_string(start_detached()) + "}";
    if (method == "kill_keeper") {
      const int result = ::kill(::getppid(), SIGKILL);
      return "{\"errno\":" + std::to_string(result == 0 ? 0 : errno) + "}";
    }
    if (method == "flood") {
      const std::string line(200, 'x');
      for (int i = 0; i < int_or(body, "lines"); ++i) std::printf("%s\n", line.c_str());
      std::fflush(stdout);
      return "{}";
    }
    if (method == "log_flood") {
      for (int i = 0; i < int_or(body, "lines"); ++i)
        host.log(host.self, RAI_LOG_INFO, ctx.id(), to_str("again and again"));
      return "{}";
    }
    if (method == "write") {
      const int file = ::open(std::string(text_or(body, "path")).c_str(),
                              O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
      const int cause = file < 0 ? errno : 0;
      if (file >= 0) ::close(file);
      return "{\"errno\":" + std::to_string(cause) + "}";
    }
    if (method == "read") {
      const int file = ::open(std::string(text_or(body, "path")).c_str(), O_RDONLY | O_CLOEXEC);
      const int cause = file < 0 ? errno : 0;
      if (file >= 0) ::close(file);
      return "{\"errno\":" + std::to_string(cause) + "}";
    }
    if (method == "open_many") {
      int opened = 0;
      while (opened < 4'096 && ::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) ++opened;
      return "{\"opened\":" + std::to_string(opened) + "}";
    }
    if (method == "surroundings") {
      std::string out = "{\"variables\":[";
      for (char** at = environ; *at != nullptr; ++at)
        out += (at == environ ? "\"" : ",\"") + std::string(*at) + "\"";
      out += "],\"descriptors\":[";
      bool first = true;
      for (int number = 0; number < 256; ++number) {
        if (::fcntl(number, F_GETFD) < 0) continue;
        out += (first ? "" : ",") + std::to_string(number);
        first = false;
      }
      return out +
             "],\"no_new_privs\":" + std::to_string(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)) + "}";
    }
    throw failure(status_code::unimplemented, "no method " + method);
  }

  // Emits as fast as it may, and honestly waits when it is told to.
  struct stream {
    const rai_host& host;
    rai_call id;
    std::int64_t left;
    std::atomic<bool> ended{false};
    void end(rai_status status) {
      if (!ended.exchange(true)) host.finish(host.self, id, status, to_str("{}"));
    }
    void run() {
      rai_event event{};
      event.kind = RAI_EVENT_TEXT;
      event.text = to_str("token ");
      while (left > 0) {
        --left;
        event.a = static_cast<std::uint64_t>(left);
        const rai_flow flow = host.emit(host.self, id, &event);
        if (flow == RAI_PAUSE && left > 0) return;
        if (flow == RAI_STOP) return end(RAI_CANCELLED);
      }
      end(RAI_OK);
    }
  };

  // Runs on the thread that brought the call, and may keep it.
  void serve_raw(const rai_request& request, rai_call id, rai_op& op) {
    const auto method = to_view(request.method);
    const auto finish = [&](std::string_view body) {
      host.finish(host.self, id, RAI_OK, to_str(body));
    };
    if ((request.flags & RAI_INTERCEPTED) != 0) return host.forward(host.self, id, &request);
    if (method == "spin") {
      for (std::atomic<std::uint64_t> count{0};; ++count) {
      }
    }
    if (method == "echo") return finish(to_view(request.body));
    if (method == "twice") {
      finish(R"({"which":1})");
      finish(R"({"which":2})");
      rai_event late{};
      late.kind = RAI_EVENT_TEXT;
      late.text = to_str("late");
      if (host.emit(host.self, id, &late) != RAI_STOP) die("abort");
      host.finish(host.self, id + 1, RAI_OK, to_str("{}"));  // of nobody
      return;
    }
    if (method == "throw") throw std::runtime_error("broken on purpose");
    if (method == "wait_inside") return finish(wait_inside(id));
    if (method == "overrun") {  // takes no notice of RAI_PAUSE
      rai_event event{};
      event.kind = RAI_EVENT_TEXT;
      event.text = to_str("more");
      int emitted = 0;
      while (host.emit(host.self, id, &event) != RAI_STOP && emitted < 1'000'000) ++emitted;
      return finish("{\"emitted\":" + std::to_string(emitted) + "}");
    }
    if (method == "stream") {
      auto* const state =
          new stream{host, id, int_or(parse_object(to_view(request.body)), "count")};
      op.self = state;
      op.cancel = [](void* self) { static_cast<stream*>(self)->end(RAI_CANCELLED); };
      op.resume = [](void* self) { static_cast<stream*>(self)->run(); };
      op.release = [](void* self) { delete static_cast<stream*>(self); };
      state->run();
      return;
    }
    if (method == "never") {
      op.self = this;
      return;
    }
    if (method == "big") {
      const std::size_t bytes =
          static_cast<std::size_t>(int_or(parse_object(to_view(request.body)), "bytes"));
      return finish("{\"text\":\"" + std::string(bytes, 'b') + "\"}");
    }
    finish("{}");
  }

  // Against the contract: waits in `call` for a call of its own.
  std::string wait_inside(rai_call parent) {
    struct waiter {
      std::mutex mutex;
      std::condition_variable changed;
      bool done = false;
      std::string body;
    } state;
    rai_request request{};
    request.struct_size = sizeof request;
    request.target = to_str("rustic.test/raw");
    request.method = to_str("echo");
    request.body = to_str(R"({"inside":true})");
    const rai_observer observer{sizeof observer, 0, &state, nullptr,
                                [](void* self, rai_status, rai_str body) {
                                  auto& me = *static_cast<waiter*>(self);
                                  const std::scoped_lock lock(me.mutex);
                                  me.body = to_view(body);
                                  me.done = true;
                                  me.changed.notify_all();
                                }};
    host.call(host.self, parent, &request, &observer);
    std::unique_lock lock(state.mutex);
    state.changed.wait(lock, [&] { return state.done; });
    return state.body;
  }

  // Two calls that nobody answers: below this one, and on the plugin's own account.
  std::string ask_gate(context& ctx) {
    rai_request request{};
    request.struct_size = sizeof request;
    request.target = to_str("rustic.test/gate");
    request.method = to_str("go");
    request.body = to_str("{}");
    const rai_observer observer{sizeof observer, 0, nullptr, nullptr,
                                [](void*, rai_status, rai_str) {}};
    host.call(host.self, ctx.id(), &request, &observer);
    host.call(host.self, 0, &request, &observer);
    for (;;) ::pause();
  }

  const rai_host& host;
  std::string start_how, start_call, save_waits_for;
  std::thread caller;
  std::uint64_t subscription = 0;
  std::string kept;
  std::mutex mutex;
  std::string heard;  // guarded by mutex
};
}  // namespace
RUSTIC_PLUGIN(hostile)
