#include "host/cli/turn_report.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "host/cli/limits.hpp"
#include "host/cli/program.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {

constexpr int schema_version = 1;

std::string one_line(std::string_view text, std::size_t bytes_max) {
  std::string out(cut_utf8(text, bytes_max));
  if (out.size() < text.size()) out += "...";
  for (auto& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

class text_report final : public turn_report {
 public:
  text_report(bool quiet, bool color)
      : quiet_(quiet), color_(color), terminal_(isatty(STDOUT_FILENO) != 0) {}

  // An answer of a given form may come twice; only the one that holds is shown.
  void begin(const std::string&, const turn_options& turn) override {
    at_the_end_ = !turn.output_schema.empty();
  }

  void event(const runtime::call_event& event) override {
    if (event.kind == RAI_EVENT_TEXT && !event.text.empty()) {
      if (!at_the_end_) say(terminal_ ? visible(event.text) : event.text);
    } else if (event.kind == RAI_EVENT_RESTART && !at_line_start_) {
      say("\n");
    } else if (event.kind == RAI_EVENT_JSON && !quiet_) {
      try {
        note(parse_object(event.text));
      } catch (const failure&) {
      }
    }
  }

  void end(const json::object& result) override {
    if (!at_line_start_) write("\n");
    const auto* problem = find(result, "error");
    if (!problem) {
      if (at_the_end_) write(std::string(text_or(result, "text")) + "\n");
      if (const auto limit = text_or(result, "limit"); !limit.empty())
        std::fprintf(stderr, "rustic-ai: stopped: the limit %s was reached\n",
                     std::string(limit).c_str());
      return;
    }
    const auto& object = problem->as_object();
    error shown;
    shown.message = text_or(object, "message");
    shown.hint = text_or(object, "hint");
    std::fprintf(stderr, "rustic-ai: %s\n", visible(shown.message).c_str());
    if (!shown.hint.empty()) std::fprintf(stderr, "  %s\n", visible(shown.hint).c_str());
  }

 private:
  void say(std::string_view text) {
    write(text);
    at_line_start_ = text.back() == '\n';
  }

  void status(const std::string& text) {
    if (terminal_ && !at_line_start_) {
      write("\n");
      at_line_start_ = true;
    }
    std::fprintf(stderr, color_ ? "\x1b[2m%s\x1b[0m\n" : "%s\n", text.c_str());
  }

  void note(const json::object& event) {
    const auto type = text_or(event, "type");
    if (type == "tool_call") {
      const auto* arguments = find(event, "arguments");
      status("> " + one_line(text_or(event, "name"), 64) + " " +
             (arguments ? one_line(json::serialize(*arguments), shown_argument_bytes_max) : ""));
    } else if (type == "tool_result") {
      const bool success = bool_or(event, "success");
      const auto text = success ? text_or(event, "output") : text_or(event, "error");
      status(std::string(success ? "  ok " : "  failed ") +
             one_line(text, shown_argument_bytes_max));
    } else if (type == "warning" || type == "notice") {
      status("! " + one_line(text_or(event, "message"), 500));
    } else if (type == "truncated") {
      status("! " + std::to_string(int_or(event, "dropped")) +
             " older messages are left out of the model's view");
    } else if (type == "permission" && text_or(event, "decision") == "deny") {
      status("! denied: " + one_line(text_or(event, "reason"), 500));
    }
  }

  const bool quiet_, color_, terminal_;
  bool at_line_start_ = true;
  bool at_the_end_ = false;
};

class json_report final : public turn_report {
 public:
  void begin(const std::string&, const turn_options&) override {}
  void event(const runtime::call_event&) override {}
  void end(const json::object& result) override { write(json::serialize(result) + "\n"); }
};

class stream_report final : public turn_report {
 public:
  void begin(const std::string& session, const turn_options&) override {
    line({{"type", "session"}, {"session_id", session}});
  }
  void event(const runtime::call_event& event) override {
    switch (event.kind) {
      case RAI_EVENT_TEXT:
        if (!event.text.empty()) line({{"type", "text"}, {"text", to_utf8(event.text)}});
        text_told_ = text_told_ || !event.text.empty();
        break;
      case RAI_EVENT_RESTART:
        if (std::exchange(text_told_, false))
          line({{"type", "notice"},
                {"about", "restart"},
                {"message", "the answer begins again; its text so far is void"}});
        break;
      case RAI_EVENT_REASONING:
        line({{"type", "reasoning"}, {"text", to_utf8(event.text)}});
        break;
      case RAI_EVENT_USAGE:
        json_event(event.text, "usage");
        break;
      case RAI_EVENT_JSON:
        json_event(event.text, {});
        break;
      default:
        break;
    }
  }
  void end(const json::object& result) override {
    if (const auto* problem = find(result, "error")) {
      json::object event{{"type", "error"}};
      for (const auto& [key, value] : problem->as_object()) event[key] = value;
      line(event);
    }
    line({{"type", "done"}, {"result", result}});
  }

 private:
  bool text_told_ = false;  // of this round

  void line(const json::object& event) { write(json::serialize(event) + "\n"); }
  void json_event(const std::string& text, std::string_view type) {
    static constexpr std::string_view known[] = {
        "tool_call", "tool_output", "tool_result", "usage", "permission", "notice", "warning"};
    try {
      auto event = parse_object(text);
      if (!type.empty()) event["type"] = type;
      const auto is = text_or(event, "type");
      if (is == "round") text_told_ = false;
      if (std::find(std::begin(known), std::end(known), is) != std::end(known)) line(event);
    } catch (const failure&) {  // a plugin's event that is no JSON: not for this stream
    }
  }
};
}  // namespace

std::unique_ptr<turn_report> turn_report::make(output_form form, bool quiet, bool color) {
  if (form == output_form::json) return std::make_unique<json_report>();
  if (form == output_form::stream_json) return std::make_unique<stream_report>();
  return std::make_unique<text_report>(quiet, color);
}

void turn_report::write(std::string_view text) {
  while (!text.empty() && writable_) {
    const auto done = ::write(STDOUT_FILENO, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) writable_ = false;
    if (done > 0) text.remove_prefix(static_cast<std::size_t>(done));
  }
}

json::object result_object(const json::object& turn, const error* problem,
                           std::int64_t duration_ms) {
  json::object out{{"schema_version", schema_version}};
  const auto text = [&](std::string_view name, std::string_view key) {
    const auto value = text_or(turn, key);
    if (value.empty())
      out[name] = nullptr;
    else
      out[name] = value;
  };
  text("session_id", "session");
  text("agent", "agent");
  text("provider", "provider");
  text("model", "model");
  out["text"] = text_or(turn, "text");
  text("finish_reason", "finish_reason");
  out["rounds"] = int_or(turn, "rounds");
  out["tool_calls"] = array_or_empty(turn, "tool_calls");
  out["permission_denials"] = array_or_empty(turn, "permission_denials");
  json::object usage;
  const auto& counted = object_or_empty(turn, "usage");
  for (const auto* key : {"input_tokens", "output_tokens", "cache_read_tokens",
                          "cache_write_tokens", "reasoning_tokens"})
    usage[key] = int_or(counted, key);
  out["usage"] = std::move(usage);
  const auto* cost = find(turn, "cost_usd");
  out["cost_usd"] = cost && cost->is_number() ? *cost : json::value(nullptr);
  out["usage_by_model"] = array_or_empty(turn, "usage_by_model");
  out["duration_ms"] = duration_ms;
  text("limit", "limit");
  out["error"] = problem ? json::value(error_object(*problem)) : json::value(nullptr);
  return out;
}
}  // namespace rustic::cli
