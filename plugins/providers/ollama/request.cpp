#include "request.hpp"

#include <algorithm>
#include <array>
#include <rustic/provider/answer.hpp>
#include <rustic/provider/json_writer.hpp>
#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>
#include <utility>

namespace rustic::ollama {
namespace {

using provider::instance;
using provider::json_writer;
using provider::outgoing;
using provider::refuse_request;
using provider::speaker;
using provider::turn;
using provider::turn_part;

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> same_options{{
    {"max_tokens", "num_predict"},
    {"temperature", "temperature"},
    {"top_p", "top_p"},
    {"top_k", "top_k"},
    {"seed", "seed"},
    {"stop_sequences", "stop"},
    {"presence_penalty", "presence_penalty"},
    {"frequency_penalty", "frequency_penalty"},
}};

class request_builder {
 public:
  request_builder(const instance& where, const settings& how, think_form thinking,
                  const json::object& generate)
      : where_(where),
        how_(how),
        thinking_(thinking),
        generate_(generate),
        options_(object_or_empty(generate, "options")),
        model_(provider::model_of(generate, where)),
        turns_(provider::read_turns(generate)),
        out_(sent_.body) {}

  outgoing build() {
    sent_.path = "/api/chat";
    const bool stream = bool_or(generate_, "stream", true);
    if (stream) sent_.accept = "application/x-ndjson";
    out_.open('{').member("model", model_);
    out_.key("stream").raw(stream ? "true" : "false");
    messages();
    tools();
    think();
    format();
    options();
    if (!how_.keep_alive.is_null() && ours("keep_alive")) {
      out_.key("keep_alive").value(how_.keep_alive);
    }
    for (const auto& [key, value] : where_.body) {
      if (key != "model" && key != "messages" && key != "stream" && key != "tools" &&
          key != "options") {
        out_.key(key).value(value);
      }
    }
    out_.close('}');
    return std::move(sent_);
  }

 private:
  bool ours(std::string_view key) const { return !where_.body.contains(key); }
  void left_out(std::string_view option) {
    sent_.warnings.push_back(provider::left_out(where_, option));
  }

  void messages() {
    out_.key("messages").open('[');
    for (const turn& one : turns_) {
      if (one.who == speaker::assistant) {
        assistant(one);
      } else {
        other(one);
      }
    }
    out_.close(']');
  }

  static void append(std::string& text, std::string_view more) {
    if (!text.empty()) text += "\n\n";
    text += more;
  }

  void other(const turn& one) {
    std::string text;
    std::vector<std::string_view> images;
    for (const turn_part& part : one.parts) {
      if (part.type == "tool_result") {
        result(*part.body);
      } else if (part.type == "text") {
        append(text, provider::part_text(part));
      } else {
        attachment(part, text, images);
      }
    }
    if (text.empty() && images.empty()) return;
    out_.open('{').member("role", one.who == speaker::system ? "system" : "user");
    out_.member("content", text);
    if (!images.empty()) {
      out_.key("images").open('[');
      for (const std::string_view image : images) out_.text(image);
      out_.close(']');
    }
    out_.close('}');
  }

  // The results of tools stand first in their turn, right behind the calls.
  void result(const json::object& part) {
    const std::string_view id = require_text(part, "id", "a tool_result part");
    out_.open('{').member("role", "tool").member("content", text_or(part, "output"));
    if (const auto name = text_or(part, "name"); !name.empty()) out_.member("tool_name", name);
    out_.member("tool_call_id", id).close('}');
  }

  void attachment(const turn_part& part, std::string& text, std::vector<std::string_view>& images) {
    const json::object& file = *part.body;
    const std::string_view data = text_or(file, "data");
    const std::string_view media_type = text_or(file, "media_type");
    if (part.type == "image" || media_type.starts_with("image/")) {
      if (data.empty()) {
        refuse_request("Ollama takes images as data only; this one has an address");
      }
      images.push_back(data);
      return;
    }
    if (!provider::is_text_type(media_type)) {
      refuse_request("files of the type '" + std::string(media_type) +
                     "' are not taken by Ollama; it takes images and text");
    }
    const std::optional<std::string> content = provider::decode_base64(data);
    if (!content) refuse_request("the data of a file is not base64");
    append(text, std::string(text_or(file, "name", "file")) + ":\n\n" + to_utf8(*content));
  }

  void assistant(const turn& one) {
    std::string text;
    std::string thought;
    bool calls = false;
    for (const turn_part& part : one.parts) {
      if (part.type == "text") {
        text += text_or(*part.body, "text");
      } else if (part.type == "tool_call") {
        calls = true;
      } else if (provider::kept_for(*part.body, where_.name, model_) != nullptr) {
        thought += text_or(*part.body, "text");
      }
    }
    if (text.empty() && !calls) return;
    out_.open('{').member("role", "assistant").member("content", text);
    if (!thought.empty()) out_.member("thinking", thought);
    if (calls) {
      out_.key("tool_calls").open('[');
      for (const turn_part& part : one.parts) {
        if (part.type != "tool_call") continue;
        const json::object& call = *part.body;
        out_.open('{').member("id", require_text(call, "id", "a tool_call part"));
        out_.key("function").open('{');
        out_.member("name", require_text(call, "name", "a tool_call part"));
        out_.key("arguments").raw(provider::object_arguments(text_or(call, "arguments")));
        out_.close('}').close('}');
      }
      out_.close(']');
    }
    out_.close('}');
  }

  void tools() {
    const json::array& tools = array_or_empty(generate_, "tools");
    if (tools.empty()) return;
    const json::value* parallel = find(options_, "parallel_tool_calls");
    if (parallel != nullptr && *parallel == false) left_out("parallel_tool_calls");
    if (const json::value* choice = find(options_, "tool_choice");
        choice != nullptr && *choice != "auto") {
      // Without tools none can be called; that one must be called cannot be said.
      if (*choice == "none") return;
      refuse_request("Ollama cannot be told to call a tool (options.tool_choice)");
    }
    out_.key("tools").open('[');
    for (const json::value& value : tools) {
      const json::object& tool = provider::request_object(value, "a tool");
      out_.open('{').member("type", "function").key("function").open('{');
      out_.member("name", require_text(tool, "name", "a tool"));
      out_.member("description", text_or(tool, "description"));
      out_.key("parameters");
      if (const json::value* parameters = find(tool, "parameters")) {
        out_.value(*parameters);
      } else {
        out_.raw(R"({"type":"object","properties":{}})");
      }
      out_.close('}').close('}');
    }
    out_.close(']');
  }

  void think() {
    const std::string_view effort = text_or(options_, "reasoning_effort");
    if (effort.empty() || !ours("think")) return;
    if (thinking_ == think_form::never) {
      if (effort != "none") left_out("reasoning_effort");
    } else if (effort == "none") {
      out_.key("think").raw("false");
    } else if (thinking_ == think_form::on_or_off) {
      out_.key("think").raw("true");
    } else {
      out_.key("think").text(effort == "minimal" ? "low" : effort == "xhigh" ? "high" : effort);
    }
  }

  void format() {
    const json::value* value = find(options_, "response_format");
    if (value == nullptr || !ours("format")) return;
    const json::object& wanted = provider::request_object(*value, "options.response_format");
    const std::string_view type = require_text(wanted, "type", "options.response_format");
    const json::value* schema = find(wanted, "schema");
    if (schema != nullptr) {
      out_.key("format").value(*schema);
    } else if (type != "text") {
      out_.member("format", "json");
    }
  }

  void options() {
    json::object made;
    if (how_.context_window > 0) made["num_ctx"] = how_.context_window;
    for (const auto& [option, member] : same_options) {
      const json::value* value = find(options_, option);
      if (value == nullptr || (value->is_array() && value->as_array().empty())) continue;
      made[member] = *value;
    }
    for (const auto& [key, value] : object_or_empty(where_.body, "options")) made[key] = value;
    if (!made.empty()) out_.key("options").value(made);
  }

  const instance& where_;
  const settings& how_;
  const think_form thinking_;
  const json::object& generate_;
  const json::object& options_;
  const std::string_view model_;
  const std::vector<turn> turns_;
  outgoing sent_;
  json_writer out_;
};

}  // namespace

outgoing build_request(const instance& where, const settings& how, think_form thinking,
                       const json::object& generate) {
  return request_builder(where, how, thinking, generate).build();
}

}  // namespace rustic::ollama
