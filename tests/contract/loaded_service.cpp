// loaded_service.cpp - the least host that a service can be called through.
#include "loaded_service.hpp"

#include <dlfcn.h>

namespace rustic::contract {

struct loaded_service::pending {
  bool finished = false;
  status_code status = status_code::unknown;
  std::string body;
};

rai_host loaded_service::make_host(loaded_service* self) {
  rai_host host{};
  host.struct_size = sizeof host;
  host.abi_minor = RAI_ABI_MINOR;
  host.self = self;
  host.finish = &finish;
  host.emit = [](void*, rai_call, const rai_event*) -> rai_flow { return RAI_CONTINUE; };
  host.call_info = [](void*, rai_call, rai_call_info*) -> rai_status { return RAI_UNIMPLEMENTED; };
  host.log = [](void*, int32_t, rai_call, rai_str) {};
  return host;
}

loaded_service::loaded_service(const std::string& library, std::string_view target,
                               std::string_view config)
    : host_(make_host(this)), library_(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (!library_) throw failure(status_code::unavailable, ::dlerror());
  const auto entry =
      reinterpret_cast<decltype(&rai_plugin_entry_v1)>(::dlsym(library_, "rai_plugin_entry_v1"));
  std::string words;
  const rai_writer writer{&words, [](void* self, rai_str text) {
                            static_cast<std::string*>(self)->append(text.ptr, text.len);
                          }};
  plugin_.struct_size = sizeof plugin_;
  auto status = entry ? entry(RAI_ABI_MINOR, &plugin_) : RAI_NOT_FOUND;
  if (status == RAI_OK) status = plugin_.create(&host_, to_str(config), &writer, &instance_);
  if (status == RAI_OK) {
    status = plugin_.start(instance_, &writer);
    service_.struct_size = sizeof service_;
    if (status == RAI_OK) status = plugin_.service(instance_, to_str(target), &service_);
    if (status != RAI_OK) plugin_.destroy(instance_);
  }
  if (status != RAI_OK) {
    ::dlclose(library_);
    throw failure(static_cast<status_code>(status), words);
  }
}

loaded_service::~loaded_service() {
  stop();
  plugin_.destroy(instance_);
  ::dlclose(library_);
}

void loaded_service::stop() {
  if (!stopped_) plugin_.stop(instance_);
  stopped_ = true;
}

void loaded_service::finish(void* self, rai_call call, rai_status status, rai_str body) {
  auto& me = *static_cast<loaded_service*>(self);
  const std::lock_guard lock(me.mutex_);
  const auto found = me.calls_.find(call);
  if (found == me.calls_.end()) return;  // a second finish does nothing
  found->second->status = static_cast<status_code>(status);
  found->second->body = to_view(body);
  found->second->finished = true;
  me.calls_.erase(found);
  me.changed_.notify_all();
}

std::pair<status_code, std::string> loaded_service::call(std::string_view method,
                                                         std::string_view body,
                                                         bool cancel_at_once) {
  pending mine;
  rai_call id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = ++last_call_;
    calls_[id] = &mine;
  }
  rai_request request{};
  request.struct_size = sizeof request;
  request.method = to_str(method);
  request.body = to_str(body);
  rai_op op{};
  op.struct_size = sizeof op;
  service_.call(service_.self, &request, id, &op);
  if (cancel_at_once && RAI_HAS(&op, cancel)) op.cancel(op.self);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return mine.finished; });
  }
  if (RAI_HAS(&op, release)) op.release(op.self);
  return {mine.status, std::move(mine.body)};
}
}  // namespace rustic::contract
