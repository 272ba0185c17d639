// YAML by yaml-cpp, event by event: no node graph, so an alias cannot make a cycle.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include "host/runtime/config/document.hpp"
#include "host/runtime/config/key_path.hpp"
#include "host/runtime/config/limits.hpp"

namespace rustic::config {
namespace {
using detail::syntax_error;

[[noreturn]] void refuse(const YAML::Mark& at, std::string message) {
  throw syntax_error{static_cast<std::uint32_t>(at.line + 1),
                     static_cast<std::uint32_t>(at.column + 1), std::move(message)};
}

// The core schema for plain scalars.
json::value plain(const YAML::Mark& at, const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (text[0] == '+' && text.size() > 1 && text[1] != '-') ++begin;
  std::int64_t whole = 0;
  if (const auto [stop, problem] = std::from_chars(begin, end, whole);
      problem == std::errc{} && stop == end)
    return whole;
  const char second = text.size() > 2 ? text[1] : '\0';
  if (text[0] == '0' && (second == 'x' || second == 'o'))
    if (const auto [stop, problem] = std::from_chars(begin + 2, end, whole, second == 'x' ? 16 : 8);
        problem == std::errc{} && stop == end)
      return whole;
  if (text == ".inf" || text == "-.inf" || text == ".nan" || text == ".Inf" || text == ".NaN")
    refuse(at, "has a number that is not finite");
  const char first = *begin;
  if ((first >= '0' && first <= '9') || first == '-' || first == '.') {
    double number = 0;
    if (const auto [stop, problem] = std::from_chars(begin, end, number);
        problem == std::errc{} && stop == end && std::isfinite(number))
      return number;
  }
  return json::string(text);
}

class builder : public YAML::EventHandler {
 public:
  explicit builder(document& out) : out_(out) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& at, YAML::anchor_t anchor) override { put(at, nullptr, anchor); }
  void OnAlias(const YAML::Mark& at, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) refuse(at, "refers to an anchor inside itself");
    count(at, found->second.second);
    put(at, found->second.first, 0);
  }
  void OnScalar(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    if (tag != "?" && tag != "!" && !tag.empty() && tag != "tag:yaml.org,2002:str")
      refuse(at, "has the tag " + tag + ", which is not supported");
    if (tag == "?" && !expects_key())
      put(at, plain(at, text), anchor);
    else
      put(at, json::string(text), anchor);
  }
  void OnSequenceStart(const YAML::Mark& at, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(at, json::array(), anchor);
  }
  void OnMapStart(const YAML::Mark& at, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(at, json::object(), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

  json::value root;

 private:
  struct level {
    json::value value;
    std::string path;
    std::string name;  // of the member now being read
    bool has_name = false;
    YAML::anchor_t anchor = 0;
    std::size_t first_count = 0;
    YAML::Mark at;
  };

  bool expects_key() const {
    return !levels_.empty() && levels_.back().value.is_object() && !levels_.back().has_name;
  }

  void count(const YAML::Mark& at, std::size_t values) {
    count_ += values;
    if (count_ > values_max) refuse(at, "has more than " + std::to_string(values_max) + " values");
  }

  std::string path() const {
    if (levels_.empty()) return {};
    const auto& top = levels_.back();
    return top.value.is_object() ? join(top.path, top.name)
                                 : join(top.path, top.value.as_array().size());
  }

  void note(const YAML::Mark& at) {
    const auto key = path();
    if (key.empty() || out_.marks.contains(key)) return;  // a member's place is its name's
    out_.marks[key] = {.line = static_cast<std::uint32_t>(at.line + 1),
                       .column = static_cast<std::uint32_t>(at.column + 1)};
  }

  void put(const YAML::Mark& at, json::value value, YAML::anchor_t anchor) {
    count(at, 1);
    if (anchor) anchors_[anchor] = {value, 1};
    if (expects_key()) {
      auto& top = levels_.back();
      if (!value.is_string()) refuse(at, "has a key that is not a plain name");
      top.name = std::string(value.as_string());
      if (top.name == "<<") refuse(at, "uses a merge key, which is not supported");
      if (top.name.size() > key_bytes_max) refuse(at, "has a key that is too long");
      if (top.value.as_object().contains(top.name)) refuse(at, "has the key " + path() + " twice");
      top.has_name = true;
      note(at);
      return;
    }
    note(at);
    if (levels_.empty()) {
      root = std::move(value);
      return;
    }
    auto& top = levels_.back();
    if (top.value.is_object()) {
      top.value.as_object()[top.name] = std::move(value);
      top.has_name = false;
    } else {
      top.value.as_array().push_back(std::move(value));
    }
  }

  void open(const YAML::Mark& at, json::value value, YAML::anchor_t anchor) {
    if (levels_.size() >= depth_max)
      refuse(at, "nests deeper than " + std::to_string(depth_max) + " levels");
    if (expects_key()) refuse(at, "has a key that is not a plain name");
    note(at);
    level next{std::move(value), path(), {}, false, anchor, count_, at};
    levels_.push_back(std::move(next));
  }

  void close() {
    level done = std::move(levels_.back());
    levels_.pop_back();
    if (done.anchor) anchors_[done.anchor] = {done.value, count_ - done.first_count + 1};
    put(done.at, std::move(done.value), 0);
  }

  document& out_;
  std::vector<level> levels_;
  std::map<YAML::anchor_t, std::pair<json::value, std::size_t>> anchors_;
  std::size_t count_ = 0;
};
}  // namespace

void detail::parse_yaml(std::string_view text, document& out) {
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    builder events(out);
    if (!parser.HandleNextDocument(events)) return;
    if (events.root.is_null()) return;
    if (!events.root.is_object()) throw syntax_error{1, 1, "must be a mapping: `key: value` lines"};
    document second;
    builder rest(second);
    if (parser.HandleNextDocument(rest))
      throw syntax_error{1, 1, "has more than one document; keep one"};
    out.root = std::move(events.root.get_object());
  } catch (const YAML::Exception& error) {
    refuse(error.mark, "is not valid YAML: " + std::string(cut_utf8(error.msg, 300)));
  }
}
}  // namespace rustic::config
