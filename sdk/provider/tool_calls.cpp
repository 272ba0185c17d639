#include <algorithm>
#include <rustic/provider/limits.hpp>
#include <rustic/provider/tool_calls.hpp>

namespace rustic::provider {
namespace {
constexpr std::size_t nowhere = static_cast<std::size_t>(-1);
}

// Finds the call that a fragment belongs to, or makes one.
std::size_t tool_calls::place_of_(const std::optional<std::int64_t>& index, std::string_view id,
                                  std::string_view name) {
  const auto last_where = [&](auto&& test) {
    for (std::size_t i = calls_.size(); i-- > 0;) {
      if (test(calls_[i])) return i;
    }
    return nowhere;
  };
  const std::size_t same_id =
      id.empty() ? nowhere : last_where([&](const tool_call& call) { return call.id == id; });
  if (index) {
    const std::size_t same = last_where([&](const tool_call& call) { return call.index == index; });
    if (same != nowhere) {
      // Some servers use one index for all their calls.
      const tool_call& call = calls_[same];
      const bool another = !id.empty() && !call.id.empty() && id != call.id && !name.empty();
      if (!another) return same;
      if (same_id != nowhere) return same_id;
    } else if (name.empty() && !calls_.empty()) {
      // Arguments under an index that no call began with: the call is the one of that id, or the
      // last one.
      return same_id != nowhere ? same_id : calls_.size() - 1;
    }
  } else if (same_id != nowhere) {
    return same_id;
  } else if (id.empty() && !calls_.empty()) {
    if (name.empty() || calls_.back().name.empty()) return calls_.size() - 1;
  }
  if (calls_.size() >= limits::tool_calls_max) return nowhere;
  calls_.emplace_back();
  calls_.back().index = index;
  return calls_.size() - 1;
}

bool tool_calls::add(const json::object& fragment, event_batch& events) {
  std::optional<std::int64_t> index;
  if (const json::value* value = find(fragment, "index"); value && value->is_int64()) {
    index = value->as_int64();
  }
  const std::string_view id = text_or(fragment, "id");
  const json::object* function = &object_or_empty(fragment, "function");
  if (function->empty()) function = &fragment;
  const std::string_view name = text_or(*function, "name");
  const json::value* arguments = find(*function, "arguments");
  const bool says_nothing =
      arguments == nullptr || (arguments->is_string() && arguments->as_string().empty());
  // Some servers send every member that there could be, empty.
  if (id.empty() && name.empty() && says_nothing) return true;

  const std::size_t place = place_of_(index, id, name);
  if (place == nowhere) return false;
  tool_call& call = calls_[place];
  if (call.name.empty()) call.name = name;
  if (call.id.empty() && !call.announced && !id.empty()) {
    // Two calls with one id could not be told apart by their results: the second gets its own.
    const bool taken = std::any_of(calls_.begin(), calls_.end(),
                                   [&](const tool_call& other) { return other.id == id; });
    if (!taken) call.id = id;
  }
  const std::size_t before = call.arguments.size();
  if (arguments != nullptr) {
    if (arguments->is_string()) {
      call.arguments += std::string_view(arguments->as_string());
    } else {
      call.arguments = json::serialize(*arguments);
    }
  }
  if (call.arguments.size() > before) bytes_ += call.arguments.size() - before;
  if (!call.announced) {
    if (call.name.empty()) return true;
    announce_(place, events);
    if (!call.arguments.empty()) {
      events.add(RAI_EVENT_TOOL_ARGS, static_cast<std::uint32_t>(place), call.arguments);
    }
  } else if (call.arguments.size() > before) {
    events.add(RAI_EVENT_TOOL_ARGS, static_cast<std::uint32_t>(place),
               std::string_view(call.arguments).substr(before));
  }
  return true;
}

std::optional<std::size_t> tool_calls::begin(std::string_view id, std::string_view name,
                                             event_batch& events) {
  if (calls_.size() >= limits::tool_calls_max) return std::nullopt;
  const bool taken = std::any_of(calls_.begin(), calls_.end(),
                                 [&](const tool_call& other) { return other.id == id; });
  calls_.emplace_back();
  if (!taken) calls_.back().id = id;
  calls_.back().name = name;
  announce_(calls_.size() - 1, events);
  return calls_.size() - 1;
}

void tool_calls::append(std::size_t place, std::string_view fragment, event_batch& events) {
  if (fragment.empty()) return;
  calls_[place].arguments += fragment;
  bytes_ += fragment.size();
  events.add(RAI_EVENT_TOOL_ARGS, static_cast<std::uint32_t>(place), fragment);
}

void tool_calls::set(std::size_t place, std::string_view arguments, event_batch& events) {
  tool_call& call = calls_[place];
  if (arguments.starts_with(call.arguments)) {
    append(place, arguments.substr(call.arguments.size()), events);
  } else {
    call.arguments = arguments;
  }
}

void tool_calls::announce_(std::size_t place, event_batch& events) {
  tool_call& call = calls_[place];
  if (call.id.empty()) call.id = new_id_(place);
  call.announced = true;
  events.add(RAI_EVENT_TOOL_CALL, static_cast<std::uint32_t>(place),
             json::serialize(json::object{{"id", call.id}, {"name", call.name}}));
}

void tool_calls::finish(event_batch& events) {
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    tool_call& call = calls_[i];
    if (!call.announced) {
      announce_(i, events);
      if (!call.arguments.empty()) {
        events.add(RAI_EVENT_TOOL_ARGS, static_cast<std::uint32_t>(i), call.arguments);
      }
    }
    if (call.arguments.find_first_not_of(" \t\r\n") == std::string::npos) call.arguments = "{}";
  }
}

// Nine letters and digits: the form that the strictest servers want.
std::string tool_calls::new_id_(std::size_t place) const {
  std::uint64_t bits = id_seed_ + 0x9E3779B97F4A7C15u * (place + 1);
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  bits ^= bits >> 31;
  constexpr std::string_view letters = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string id;
  for (int i = 0; i < 9; ++i) {
    id += letters[bits % letters.size()];
    bits /= letters.size();
  }
  return id;
}

}  // namespace rustic::provider
