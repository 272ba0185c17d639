#include <algorithm>
#include <charconv>
#include <rustic/provider/limits.hpp>
#include <rustic/provider/tool_calls.hpp>

namespace rustic::provider {
namespace {
constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

// The name under which models of OpenAI now and then put several calls into one. No tool has it.
constexpr std::string_view list_name = "multi_tool_use.parallel";

bool is_object(std::string_view text) {
  if (!text.ends_with('}')) return false;
  boost::system::error_code problem;
  return json::parse(text, problem).is_object() && !problem;
}
}  // namespace

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
      const bool other_id = !id.empty() && !call.id.empty() && id != call.id;
      const bool other_call =
          id.empty() && !call.name.empty() && (name != call.name || is_object(call.arguments));
      if (name.empty() || !(other_id || other_call)) return same;
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
  } else if (value && value->is_string()) {
    const std::string_view text = value->as_string();
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem == std::errc{} && end == text.data() + text.size()) index = number;
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
  if (const json::value* extra = find(fragment, "extra_content"); extra && extra->is_object()) {
    call.extra = json::value(*extra, json::storage_ptr());
    bytes_ += json::serialize(call.extra).size();
  }
  if (!call.announced) {
    if (call.name.empty() || call.name == list_name) return true;
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
  if (name != list_name) announce_(calls_.size() - 1, events);
  return calls_.size() - 1;
}

void tool_calls::append(std::size_t place, std::string_view fragment, event_batch& events) {
  if (fragment.empty()) return;
  calls_[place].arguments += fragment;
  bytes_ += fragment.size();
  if (!calls_[place].announced) return;
  events.add(RAI_EVENT_TOOL_ARGS, static_cast<std::uint32_t>(place), fragment);
}

void tool_calls::set(std::size_t place, std::string_view arguments, event_batch& events) {
  tool_call& call = calls_[place];
  if (arguments.starts_with(call.arguments)) {
    append(place, arguments.substr(call.arguments.size()), events);
  } else {
    if (arguments.size() > call.arguments.size())
      bytes_ += arguments.size() - call.arguments.size();
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

// {"tool_uses": [{"recipient_name": "functions.NAME", "parameters": {}}, ...]}: the first takes the
// place of the list, the others come last.
void tool_calls::take_apart_() {
  const std::size_t before = calls_.size();
  for (std::size_t i = 0; i < before; ++i) {
    if (calls_[i].name != list_name) continue;
    boost::system::error_code problem;
    const json::value list = json::parse(calls_[i].arguments, problem);
    if (problem || !list.is_object()) continue;
    std::vector<tool_call> made;
    for (const json::value& value : array_or_empty(list.as_object(), "tool_uses")) {
      if (!value.is_object()) continue;
      const json::object& use = value.as_object();
      std::string_view name = text_or(use, "recipient_name");
      if (name.starts_with("functions.")) name.remove_prefix(10);
      if (name.empty() || calls_.size() + made.size() > limits::tool_calls_max) continue;
      tool_call& one = made.emplace_back();
      one.name = name;
      const json::value* parameters = find(use, "parameters");
      one.arguments = parameters == nullptr ? "{}" : json::serialize(*parameters);
    }
    if (made.empty()) continue;
    calls_[i] = std::move(made.front());
    calls_.insert(calls_.end(), std::make_move_iterator(made.begin() + 1),
                  std::make_move_iterator(made.end()));
  }
}

void tool_calls::finish(event_batch& events) {
  take_apart_();
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
