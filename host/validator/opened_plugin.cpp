#include "host/validator/opened_plugin.hpp"

#include <dlfcn.h>

#include <rustic/status.hpp>

#include "host/validator/failing_memory.hpp"
#include "host/validator/samples.hpp"

namespace rustic::validator {
namespace {
rai_writer writer_to(std::string& out) {
  return {&out, [](void* self, rai_str text) {
            const memory_exempt here;
            static_cast<std::string*>(self)->append(to_view(text));
          }};
}

class lifecycle_mark {
 public:
  explicit lifecycle_mark(strict_host& host) : host_(host) { host_.is_lifecycle = true; }
  ~lifecycle_mark() { host_.is_lifecycle = false; }
  lifecycle_mark(const lifecycle_mark&) = delete;
  lifecycle_mark& operator=(const lifecycle_mark&) = delete;

 private:
  strict_host& host_;
};
}  // namespace

void* open_image(const std::filesystem::path& file, std::string& problem) {
  void* image = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!image) problem = ::dlerror();
  return image;
}

plugin_entry find_entry(void* image) {
  return reinterpret_cast<plugin_entry>(::dlsym(image, "rai_plugin_entry_v1"));
}

opened_plugin::opened_plugin(trial& t) : opened_plugin(t, t.file()) {}

opened_plugin::opened_plugin(trial& t, const std::filesystem::path& file) {
  std::string problem;
  t.step("opening the file");
  void* image = open_image(file, problem);
  if (!image) t.skip("it cannot be opened: " + problem);
  const auto entry = find_entry(image);
  if (!entry) t.skip("it has no rai_plugin_entry_v1");
  t.step("rai_plugin_entry_v1");
  table_.struct_size = sizeof(table_);
  if (entry(RAI_ABI_MINOR, &table_) != RAI_OK || !RAI_HAS(&table_, create) ||
      !RAI_HAS(&table_, service))
    t.skip("its entry fails");
}

lifecycle_result instance::create(std::string_view config) {
  std::string words;
  const auto writer = writer_to(words);
  auto out = create(to_str(config), &writer);
  out.words = std::move(words);
  return out;
}

lifecycle_result instance::create(rai_str config, const rai_writer* writer) {
  trial_.step("create");
  lifecycle_result out;
  const lifecycle_mark mark(host_);
  try {
    const memory_counted plugin;
    out.status = plugin_.table().create(host_.table(), config, writer, &self_);
  } catch (...) {
    host_.note(breach::exception, "create threw an exception");
  }
  return out;
}

lifecycle_result instance::start() {
  lifecycle_result out;
  if (!RAI_HAS(&plugin_.table(), start)) return {RAI_OK, {}};
  trial_.step("start");
  const auto writer = writer_to(out.words);
  const lifecycle_mark mark(host_);
  try {
    const memory_counted plugin;
    out.status = plugin_.table().start(self_, &writer);
  } catch (...) {
    host_.note(breach::exception, "start threw an exception");
  }
  return out;
}

rai_status instance::service(std::string_view target, rai_service& out) {
  trial_.step("service(" + std::string(target) + ")");
  out = {};
  out.struct_size = sizeof(out);
  try {
    const memory_counted plugin;
    return plugin_.table().service(self_, to_str(target), &out);
  } catch (...) {
    host_.note(breach::exception, "service threw an exception");
    return RAI_INTERNAL;
  }
}

rai_service instance::service(std::string_view target) {
  rai_service out;
  if (service(target, out) != RAI_OK || !RAI_HAS(&out, call))
    trial_.skip("it does not offer " + std::string(target) + ", see create.service");
  return out;
}

void instance::stop() {
  if (!RAI_HAS(&plugin_.table(), stop)) return;
  trial_.step("stop");
  try {
    const memory_counted plugin;
    plugin_.table().stop(self_);
  } catch (...) {
    host_.note(breach::exception, "stop threw an exception");
  }
}

void instance::destroy() {
  if (RAI_HAS(&plugin_.table(), destroy)) {
    trial_.step("destroy");
    try {
      const memory_counted plugin;
      plugin_.table().destroy(self_);
    } catch (...) {
      host_.note(breach::exception, "destroy threw an exception");
    }
  }
  host_.is_destroyed = true;
}

rai_status instance::save(std::string& out) {
  trial_.step("save");
  const auto writer = writer_to(out);
  const memory_counted plugin;
  return plugin_.table().save(self_, &writer);
}

lifecycle_result instance::restore(std::string_view state) {
  trial_.step("restore");
  lifecycle_result out;
  const auto writer = writer_to(out.words);
  const memory_counted plugin;
  out.status = plugin_.table().restore(self_, to_str(state), &writer);
  return out;
}

void instance::begin() {
  const auto& about = trial_.about();
  host_.declared = about.requires_targets;
  host_.declared.insert(host_.declared.end(), about.wants_targets.begin(),
                        about.wants_targets.end());
  const auto config = sample_config(trial_);
  if (const auto done = create(config); !done.ok())
    trial_.skip("create fails: " + shown(done.words));
  if (const auto done = start(); !done.ok()) trial_.skip("start fails: " + shown(done.words));
}

running_plugin::running_plugin(trial& with)
    : t(with), host(workspace_of(with)), plugin(with), life(with, plugin, host) {
  life.begin();
}
}  // namespace rustic::validator
