#include "http_client.hpp"

#include "client_core.hpp"
#include "exchange.hpp"

namespace rustic::http {

client_core::client_core(client_settings s)
    : settings(std::move(s)),
      proxies(settings.proxy),
      pool(settings.max_connections_per_origin),
      tls(settings.tls) {}

client_core::~client_core() {
  stop();
}

exchange* client_core::find(std::uint64_t id) {
  const auto found = exchanges_.find(id);
  return found == exchanges_.end() ? nullptr : found->second.get();
}

void client_core::cancel(std::uint64_t id) {
  loop.post([this, id] {
    if (exchange* e = find(id)) e->cancel();
  });
}

void client_core::resume(std::uint64_t id) {
  loop.post([this, id] {
    if (exchange* e = find(id)) e->resume();
  });
}

void client_core::begin(std::uint64_t id, http_request request,
                        std::shared_ptr<response_sink> sink) {
  if (stopping_ || exchanges_.size() >= limits::requests_max) {
    outcome refused;
    refused.status = stopping_ ? RAI_CANCELLED : RAI_RESOURCE_EXHAUSTED;
    refused.message =
        stopping_ ? "the HTTP client has been stopped"
                  : "more than " + std::to_string(limits::requests_max) + " HTTP requests at once";
    refused.hint = stopping_ ? "" : "wait until some have finished";
    sink->on_finish(refused);
    return;
  }
  auto& slot = exchanges_[id];
  slot = std::make_unique<exchange>(*this, id, std::move(request), std::move(sink));
  slot->begin();
}

void client_core::wake(std::uint64_t id) {
  if (exchange* e = find(id)) e->nudge();
}

void client_core::remove(std::uint64_t id) {
  loop.post([this, id] { exchanges_.erase(id); });
}

bool client_core::look_up(std::uint64_t id, const std::string& host, std::uint16_t port,
                          std::shared_ptr<std::atomic<bool>> wanted) {
  if (!resolver_) resolver_ = std::make_unique<resolver>(settings.lookup);
  return resolver_->start(
      host, port, [wanted] { return wanted->load(); },
      [this, id, wanted](resolved answer) {
        // A look-up's thread ends before the loop is destroyed, but possibly after it has stopped.
        loop.post([this, id, answer = std::move(answer), wanted] {
          exchange* e = wanted->load() ? find(id) : nullptr;
          if (e) e->looked_up(answer);
        });
      });
}

void client_core::stop() {
  if (stopping_.exchange(true)) return;
  loop.post([this] {
    for (auto& [id, e] : exchanges_) e->cancel();
  });
  loop.stop();
  resolver_.reset();
  exchanges_.clear();
  pool.clear();
}

void request_handle::cancel() const {
  if (const auto core = core_.lock()) core->cancel(id_);
}

void request_handle::resume() const {
  if (const auto core = core_.lock()) core->resume(id_);
}

http_client::http_client(client_settings settings)
    : core_(std::make_shared<client_core>(std::move(settings))) {}

http_client::~http_client() {
  stop();
}

void http_client::stop() {
  core_->stop();
}

request_handle http_client::start(http_request request, std::shared_ptr<response_sink> sink) {
  request_handle handle;
  handle.core_ = core_;
  handle.id_ = core_->next_id.fetch_add(1);
  auto owned = std::make_shared<http_request>(std::move(request));
  const bool posted = core_->loop.post([core = core_.get(), id = handle.id_, owned, sink] {
    core->begin(id, std::move(*owned), sink);
  });
  if (!posted) {
    outcome refused;
    refused.status = RAI_CANCELLED;
    refused.message = "the HTTP client has been stopped";
    sink->on_finish(refused);
  }
  return handle;
}

}  // namespace rustic::http
