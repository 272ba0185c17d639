#include "kernel/abi/library.hpp"

#include <dlfcn.h>

#include <boost/dll/shared_library.hpp>

namespace rustic::kernel::abi {

struct library::opened {
  boost::dll::shared_library file;
};

library::library() : opened_(std::make_unique<opened>()) {}
library::~library() = default;

std::unique_ptr<library> library::open(const std::filesystem::path& path, std::string& problem) {
  namespace dll = boost::dll;
  std::unique_ptr<library> out(new library);
  // Boost.DLL has no name for RTLD_NODELETE but hands the bits through.
  const auto mode = static_cast<dll::load_mode::type>(
      static_cast<int>(dll::load_mode::rtld_now | dll::load_mode::rtld_local) | RTLD_NODELETE);
  try {
    out->opened_->file.load(path, mode);
  } catch (const std::exception& error) {
    problem = error.what();
    return nullptr;
  }
  return out;
}

bool library::table(rai_plugin& out, std::string& problem) const {
  using entry = rai_status(uint32_t, rai_plugin*);
  if (!opened_->file.has("rai_plugin_entry_v1")) {
    problem = "it exports no rai_plugin_entry_v1";
    return false;
  }
  out = {};
  out.struct_size = sizeof(out);
  rai_status status = RAI_UNKNOWN;
  try {
    status = opened_->file.get<entry>("rai_plugin_entry_v1")(RAI_ABI_MINOR, &out);
  } catch (...) {
    problem = "its entry threw an exception";
    return false;
  }
  if (status != RAI_OK) {
    problem = "its entry refused with status " + std::to_string(status);
    return false;
  }
  if (out.struct_size > sizeof(out) || !RAI_HAS(&out, create) || !RAI_HAS(&out, service)) {
    problem = "its table lacks create or service";
    return false;
  }
  return true;
}
}  // namespace rustic::kernel::abi
