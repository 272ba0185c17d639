#include <algorithm>
#include <array>
#include <rustic/provider/json_writer.hpp>
#include <rustic/provider/responses.hpp>
#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>

namespace rustic::provider {
namespace {

constexpr std::int64_t output_tokens_min = 16;  // the server takes no less
constexpr std::size_t call_id_bytes_max = 64;

// Models that are known to reason without being asked how hard.
bool reasons(std::string_view model) {
  model.remove_prefix(model.rfind('/') + 1);  // npos + 1 is 0
  for (const std::string_view family : {"o1", "o3", "o4", "gpt-5", "gpt-6", "codex", "grok"})
    if (model.starts_with(family)) return true;
  return false;
}

class request_builder {
 public:
  request_builder(const instance& where, const responses_options& how, const json::object& generate,
                  const std::vector<std::string>& refused, bool counting)
      : where_(where),
        how_(how),
        generate_(generate),
        options_(object_or_empty(generate, "options")),
        refused_(refused),
        model_(model_of(generate, where)),
        counting_(counting),
        turns_(read_turns(generate)),
        out_(sent_.body) {}

  outgoing build() {
    sent_.path = counting_ ? "/responses/input_tokens" : "/responses";
    const bool stream = !counting_ && bool_or(generate_, "stream", true);
    if (stream) sent_.accept = "text/event-stream";
    out_.open('{').member("model", model_);
    if (!counting_) {
      out_.key("stream").raw(stream ? "true" : "false");
      if (takes("store")) out_.key("store").raw(how_.store ? "true" : "false");
      if (!how_.store && takes("include"))
        out_.key("include").raw(R"(["reasoning.encrypted_content"])");
    }
    instructions();
    out_.key("input").open('[');
    for (const turn& one : turns_) {
      if (one.who == speaker::user) user(one);
      if (one.who == speaker::assistant) assistant(one);
    }
    out_.close(']');
    tools();
    if (!counting_) sampling();
    reasoning();
    format();
    for (const auto& [key, value] : where_.body) {
      const bool told = key == "text" && has_format_;
      if (!told && key != "model" && key != "input" && key != "stream" && key != "tools")
        out_.key(key).value(value);
    }
    out_.close('}');
    return std::move(sent_);
  }

 private:
  // Neither set by the configuration nor refused by the server.
  bool takes(std::string_view member) const {
    return !where_.body.contains(member) &&
           std::find(refused_.begin(), refused_.end(), member) == refused_.end();
  }
  void warn(std::string_view option) { sent_.warnings.push_back(left_out(where_, option)); }

  void instructions() {
    std::string text;
    for (const turn& one : turns_) {
      if (one.who != speaker::system) continue;
      for (const turn_part& part : one.parts) {
        if (!text.empty()) text += "\n\n";
        text += text_or(*part.body, "text");
      }
    }
    if (!text.empty() && takes("instructions")) out_.member("instructions", text);
  }

  void user(const turn& one) {
    bool plain = true;
    std::string text;
    std::size_t rest = 0;
    for (const turn_part& part : one.parts) {
      if (part.type == "tool_result") {
        result(*part.body);
        continue;
      }
      ++rest;
      plain = plain && part.type == "text";
      if (!text.empty()) text += "\n\n";
      if (part.type == "text") text += part_text(part);
    }
    if (rest == 0) return;
    out_.open('{').member("role", "user").key("content");
    if (plain) {
      out_.text(text).close('}');
      return;
    }
    out_.open('[');
    for (const turn_part& part : one.parts) content(part);
    out_.close(']').close('}');
  }

  void result(const json::object& part) {
    const auto id = call_id(require_text(part, "id", "a tool_result part"));
    const bool custom = std::find(custom_.begin(), custom_.end(), id) != custom_.end();
    out_.open('{').member("type", custom ? "custom_tool_call_output" : "function_call_output");
    out_.member("call_id", id).member("output", text_or(part, "output")).close('}');
  }

  void content(const turn_part& part) {
    if (part.type == "text") {
      out_.open('{').member("type", "input_text").member("text", part_text(part)).close('}');
    } else if (part.type == "image") {
      out_.open('{').member("type", "input_image").key("image_url");
      if (const auto url = text_or(*part.body, "url"); !url.empty()) {
        out_.text(url);
      } else {
        out_.joined({"data:", require_text(*part.body, "media_type", "an image part"), ";base64,",
                     require_text(*part.body, "data", "an image part")});
      }
      out_.close('}');
    } else if (part.type == "file") {
      out_.open('{').member("type", "input_file");
      out_.member("filename", text_or(*part.body, "name", "file")).key("file_data");
      out_.joined({"data:", require_text(*part.body, "media_type", "a file part"), ";base64,",
                   require_text(*part.body, "data", "a file part")});
      out_.close('}');
    }
  }

  void assistant(const turn& one) {
    for (std::size_t i = 0; i < one.parts.size(); ++i) {
      const turn_part& part = one.parts[i];
      const json::object* kept = kept_for(*part.body, where_.name, model_);
      if (part.type == "text") {
        out_.open('{').member("type", "message").member("role", "assistant");
        if (kept != nullptr && !text_or(*kept, "phase").empty())
          out_.member("phase", text_or(*kept, "phase"));
        out_.key("content").open('[').open('{').member("type", "output_text");
        out_.member("text", text_or(*part.body, "text")).close('}').close(']').close('}');
      } else if (part.type == "tool_call") {
        call(*part.body, kept != nullptr && text_or(*kept, "type") == "custom_tool_call");
      } else if (kept != nullptr) {
        // Reasoning without what it led to is refused.
        item(object_or_empty(*kept, "item"), i + 1 < one.parts.size());
      }
    }
  }

  void call(const json::object& part, bool custom) {
    auto id = call_id(require_text(part, "id", "a tool_call part"));
    out_.open('{').member("type", custom ? "custom_tool_call" : "function_call");
    out_.member("call_id", id).member("name", require_text(part, "name", "a tool_call part"));
    const auto arguments = text_or(part, "arguments");
    if (custom) {
      out_.member("input", arguments).close('}');
      custom_.push_back(std::move(id));
    } else {
      out_.member("arguments", object_arguments(arguments)).close('}');
    }
  }

  // What another API named with more than this one takes gets a name of its own.
  static std::string call_id(std::string_view id) {
    return id.size() <= call_id_bytes_max ? std::string(id) : plain_id(id);
  }

  void item(const json::object& kept, bool followed) {
    const std::string_view type = text_or(kept, "type");
    if (type.empty()) return;
    if (type == "reasoning") {
      const bool sealed = !text_or(kept, "encrypted_content").empty();
      if (!followed || (!sealed && !how_.store)) return;
    }
    out_.open('{');
    for (const auto& [key, value] : kept) {
      // The server's notes about an item are no part of it.
      if (key == "status" && type == "reasoning") continue;
      if (value.is_null() || (key == "id" && value == "")) continue;
      out_.key(key).value(value);
    }
    out_.close('}');
  }

  void tools() {
    const json::array& tools = array_or_empty(generate_, "tools");
    if (tools.empty()) return;
    out_.key("tools").open('[');
    for (const json::value& value : tools) {
      const json::object& tool = request_object(value, "a tool");
      out_.open('{')
          .member("type", "function")
          .member("name", require_text(tool, "name", "a tool"));
      if (const auto text = text_or(tool, "description"); !text.empty())
        out_.member("description", text);
      out_.key("parameters");
      if (const json::value* parameters = find(tool, "parameters")) {
        out_.value(*parameters);
      } else {
        out_.raw(R"({"type":"object","properties":{}})");
      }
      // Left out it means true, and few schemas are that strict.
      out_.key("strict").raw("false").close('}');
    }
    out_.close(']');
    if (const json::value* choice = find(options_, "tool_choice")) {
      out_.key("tool_choice");
      if (choice->is_string()) {
        out_.value(*choice);
      } else {
        const json::object& named = request_object(*choice, "options.tool_choice");
        out_.open('{').member("type", "function");
        out_.member("name", require_text(named, "name", "options.tool_choice")).close('}');
      }
    }
    if (const json::value* parallel = find(options_, "parallel_tool_calls"))
      option("parallel_tool_calls", *parallel);
  }

  void option(std::string_view name, const json::value& value) {
    if (where_.body.contains(name)) return;
    if (takes(name)) {
      out_.key(name).value(value);
    } else {
      warn(name);
    }
  }

  void sampling() {
    for (const char* name : {"temperature", "top_p"})
      if (const json::value* value = find(options_, name)) option(name, *value);
    if (const auto most = int_or(options_, "max_tokens"); most > 0 && takes("max_output_tokens"))
      out_.key("max_output_tokens").raw(std::to_string(std::max(most, output_tokens_min)));
    for (const char* name : {"top_k", "presence_penalty", "frequency_penalty", "seed"})
      if (find(options_, name) != nullptr && !where_.body.contains(name)) warn(name);
    if (!array_or_empty(options_, "stop_sequences").empty())
      refuse_request("options.stop_sequences: the Responses API of provider '" + where_.name +
                     "' has none; set api = \"chat\" for it, or leave the option out");
  }

  void reasoning() {
    if (where_.body.contains("reasoning")) return;
    const auto effort = text_or(options_, "reasoning_effort");
    const bool summary = how_.reasoning_summary != "none" && takes("reasoning.summary") &&
                         takes("reasoning") && (!effort.empty() || reasons(model_));
    const bool told = !effort.empty() && takes("reasoning.effort") && takes("reasoning");
    if (!effort.empty() && !told && !counting_) warn("reasoning_effort");
    if (!summary && !told) return;
    out_.key("reasoning").open('{');
    if (told) out_.member("effort", effort);
    if (summary) out_.member("summary", how_.reasoning_summary);
    out_.close('}');
  }

  void format() {
    const json::value* value = find(options_, "response_format");
    if (value == nullptr) return;
    const json::object& more = object_or_empty(where_.body, "text");
    if (more.contains("format")) return;
    const json::object& format = request_object(*value, "options.response_format");
    const std::string_view type = require_text(format, "type", "options.response_format");
    has_format_ = true;
    out_.key("text").open('{');
    for (const auto& [key, one] : more) out_.key(key).value(one);
    out_.key("format").open('{').member("type", type);
    if (type == "json_schema") {
      const json::value* schema = find(format, "schema");
      if (schema == nullptr) refuse_request("options.response_format has no schema");
      out_.member("name", text_or(format, "name", "answer"));
      if (const auto text = text_or(format, "description"); !text.empty())
        out_.member("description", text);
      out_.key("schema").value(*schema);
      out_.key("strict").raw(bool_or(format, "strict", false) ? "true" : "false");
    }
    out_.close('}').close('}');
  }

  const instance& where_;
  const responses_options& how_;
  const json::object& generate_;
  const json::object& options_;
  const std::vector<std::string>& refused_;
  const std::string_view model_;
  const bool counting_;
  const std::vector<turn> turns_;
  std::vector<std::string> custom_;  // calls of tools that take free text
  bool has_format_ = false;
  outgoing sent_;
  json_writer out_;
};

}  // namespace

outgoing build_responses_request(const instance& where, const responses_options& how,
                                 const json::object& generate,
                                 const std::vector<std::string>& refused, bool counting) {
  return request_builder(where, how, generate, refused, counting).build();
}

}  // namespace rustic::provider
