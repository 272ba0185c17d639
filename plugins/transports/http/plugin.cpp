// The adapter between the plugin contract and http_client.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <rustic/plugin.hpp>

#include "http_client.hpp"
#include "limits.hpp"
#include "secret_mask.hpp"
#include "settings.hpp"

namespace {

using namespace rustic;
using namespace rustic::http;

// One call of `request`. Kept by the host's op until release and by the client until on_finish.
class served_request final : public response_sink,
                             public std::enable_shared_from_this<served_request> {
 public:
  served_request(const rai_host& host, rai_call id, http_client& client)
      : host_(host), id_(id), client_(client) {}

  void begin(const rai_request& call) noexcept {
    try {
      if (to_view(call.method) != "request") {
        throw failure(status_code::unimplemented,
                      "rustic.http has no method " + to_utf8(to_view(call.method)),
                      "its only method is request");
      }
      described_ = read_request(parse_object(to_view(call.body), "http request"));
      described_.request.body.assign(call.data.len == 0 ? "" : call.data.ptr, call.data.len);
      // One more than there are references, so that the last answer and not the first starts it.
      missing_ = described_.secrets.size() + 1;
      for (const auto& secret : described_.secrets) resolve(secret);
      secret_settled();
    } catch (...) {
      finish_with(current_error());
    }
  }

  void cancel() noexcept {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    handle_.cancel();
  }

  void resume() noexcept {
    std::lock_guard lock(mutex_);
    handle_.resume();
  }

 private:
  struct resolution {
    std::shared_ptr<served_request> owner;
    const secret_header& header;
  };

  void resolve(const secret_header& header) {
    const std::string body = json::serialize(json::object{{"reference", header.reference}});
    rai_request request{};
    request.struct_size = sizeof request;
    request.revision = 1;
    request.target = to_str("rustic.secret/default");
    request.method = to_str("resolve");
    request.body = to_str(body);
    rai_observer observer{};
    observer.struct_size = sizeof observer;
    observer.self = new resolution{shared_from_this(), header};
    observer.finish = [](void* self, rai_status status, rai_str answer) {
      const std::unique_ptr<resolution> r(static_cast<resolution*>(self));
      r->owner->resolved(r->header, status, to_view(answer));
    };
    host_.call(host_.self, id_, &request, &observer);
  }

  void resolved(const secret_header& header, rai_status status, std::string_view answer) noexcept {
    try {
      if (status == RAI_OK) {
        const json::object result = parse_object(answer, "answer of rustic.secret");
        std::string value(require_text(result, "value", "answer of rustic.secret"));
        std::lock_guard lock(mutex_);
        described_.request.headers[header.index].value = header.prefix + value;
        mask_.hide(std::move(value));
      } else {
        error problem = read_error(static_cast<status_code>(status), answer);
        problem.message = "the secret for header " + described_.request.headers[header.index].name +
                          " cannot be had: " + problem.message;
        std::lock_guard lock(mutex_);
        if (!problem_) problem_ = std::move(problem);
      }
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!problem_) problem_ = current_error();
    }
    secret_settled();
  }

  void secret_settled() noexcept {
    if (missing_.fetch_sub(1) != 1) return;
    try {
      std::unique_lock lock(mutex_);
      if (problem_) {
        const error problem = *problem_;
        lock.unlock();
        finish_with(problem);
        return;
      }
      handle_ = client_.start(std::move(described_.request), shared_from_this());
      if (cancelled_) handle_.cancel();
    } catch (...) {
      finish_with(current_error());
    }
  }

  void finish_with(const error& problem) noexcept {
    std::string body;
    try {
      body = error_body(problem);
    } catch (...) {
    }
    finish(static_cast<rai_status>(problem.code), body);
  }

  void finish(rai_status status, std::string_view body) noexcept {
    if (finished_.exchange(true)) return;
    host_.finish(host_.self, id_, status, to_str(body));
  }

  sink_flow emit(rai_event_kind kind, std::string_view text, std::uint64_t a) noexcept {
    const rai_event event = make_event(kind, text, 0, a);
    switch (host_.emit(host_.self, id_, &event)) {
      case RAI_CONTINUE:
        return sink_flow::go_on;
      case RAI_PAUSE:
        return sink_flow::pause;
      default:
        return sink_flow::stop;
    }
  }

  sink_flow on_head(const response_head& head, const std::string& final_url) override {
    mask_.status(head.status);
    return emit(RAI_EVENT_HEAD, head_text(head, final_url),
                static_cast<std::uint64_t>(head.status));
  }
  sink_flow on_data(std::string_view piece) override {
    try {
      const auto text = mask_.pass(piece);
      // With what was kept of the piece before it may be larger than one may be.
      const auto first = text.substr(0, limits::piece_bytes_max);
      auto flow = first.empty() ? sink_flow::go_on : emit(RAI_EVENT_DATA, first, 0);
      if (const auto more = text.substr(first.size()); !more.empty() && flow != sink_flow::stop)
        flow = std::max(flow, emit(RAI_EVENT_DATA, more, 0));
      return flow;
    } catch (...) {
      return sink_flow::stop;
    }
  }
  void on_finish(const outcome& result) override {
    std::string body;
    try {
      if (const auto rest = mask_.rest(); !rest.empty()) emit(RAI_EVENT_DATA, rest, 0);
      body = finish_text(result);
    } catch (...) {
    }
    finish(result.status, body);
  }

  const rai_host& host_;
  const rai_call id_;
  http_client& client_;
  described_request described_;  // its headers are under mutex_ until the client has it
  secret_mask mask_;             // as they; then of the client's thread
  std::atomic<std::size_t> missing_{0};
  std::atomic<bool> finished_{false};
  std::mutex mutex_;
  // Under mutex_.
  std::optional<error> problem_;
  request_handle handle_;
  bool cancelled_ = false;
};

class http_plugin {
 public:
  explicit http_plugin(setup& s) : host_(s.host()), client_(read_settings(s.config())) {
    rai_service service{};
    service.struct_size = sizeof service;
    service.self = this;
    service.call = [](void* self, const rai_request* request, rai_call id, rai_op* op) {
      static_cast<http_plugin*>(self)->call(*request, id, *op);
    };
    s.raw("rustic.http/default", service);
  }

  void stop() { client_.stop(); }

 private:
  using owner = std::shared_ptr<served_request>;

  void call(const rai_request& request, rai_call id, rai_op& op) noexcept {
    std::unique_ptr<owner> kept;
    try {
      kept = std::make_unique<owner>(std::make_shared<served_request>(host_, id, client_));
    } catch (...) {
      host_.finish(host_.self, id, RAI_RESOURCE_EXHAUSTED,
                   to_str("{\"message\":\"out of memory\"}"));
      return;
    }
    const owner served = *kept;  // the call may be released before begin has returned
    op.struct_size = sizeof op;
    op.self = kept.release();
    op.cancel = [](void* self) { (*static_cast<owner*>(self))->cancel(); };
    op.resume = [](void* self) { (*static_cast<owner*>(self))->resume(); };
    op.release = [](void* self) { delete static_cast<owner*>(self); };
    served->begin(request);
  }

  const rai_host& host_;
  http_client client_;
};

}  // namespace

RUSTIC_PLUGIN(http_plugin)
