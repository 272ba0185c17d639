#include "host/cli/turn_report.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "host/cli/limits.hpp"
#include "host/cli/program.hpp"
#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {

constexpr int schema_version = 1;

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
      if (!at_the_end_) say(terminal_ ? filter_.pass(event.text) : event.text);
    } else if (event.kind == RAI_EVENT_RESTART && !at_line_start_) {
      say("\n");
    } else if (event.kind == RAI_EVENT_JSON) {
      try {
        const auto told = parse_object(event.text);
        // What the model says in one round and in the next are two paragraphs, also in a pipe.
        if (text_or(told, "type") == "round" && !at_line_start_) say("\n");
        if (!quiet_) note(told);
      } catch (const failure&) {
      }
    }
  }

  void end(const json::object& result) override {
    if (!at_line_start_) write("\n");
    const auto* problem = find(result, "error");
    if (!problem) {
      if (at_the_end_) {
        const std::string answer(text_or(result, "text"));
        write((terminal_ ? visible(answer) : answer) + "\n");
      }
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
    if (text.empty()) return;
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
      status("> " + one_visible_line(text_or(event, "name"), 64) + " " +
             (arguments ? one_visible_line(json::serialize(*arguments), shown_argument_columns_max)
                        : ""));
    } else if (type == "tool_result") {
      const bool success = bool_or(event, "success");
      const auto text = success ? text_or(event, "output") : text_or(event, "error");
      status(std::string(success ? "  ok " : "  failed ") +
             one_visible_line(text, shown_argument_columns_max));
    } else if (type == "warning" || type == "notice") {
      status("! " + one_visible_line(text_or(event, "message"), shown_notice_columns_max));
    } else if (type == "truncated") {
      status("! " + std::to_string(int_or(event, "dropped")) +
             " older messages are left out of the model's view");
    } else if (type == "permission" && text_or(event, "decision") == "deny") {
      status("! denied: " + one_visible_line(text_or(event, "reason"), shown_notice_columns_max));
    }
  }

  const bool quiet_, color_, terminal_;
  safe_text filter_;
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
  while (!text.empty() && writable()) {
    const auto done = ::write(STDOUT_FILENO, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) write_error_ = errno;
    if (done > 0) text.remove_prefix(static_cast<std::size_t>(done));
  }
}

std::string turn_report::write_problem() const {
  if (writable()) return {};
  if (write_error_ == EPIPE) return "standard output was closed before the answer ended";
  return std::string("writing to standard output: ") + strerror(write_error_);
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
