#include <algorithm>
#include <array>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/json_writer.hpp>
#include <rustic/provider/limits.hpp>
#include <rustic/status.hpp>

namespace rustic::provider {
namespace {

[[noreturn]] void refuse(std::string message) {
  throw failure(status_code::invalid_argument, "generate: " + std::move(message),
                "see the provider interface for the form of a request");
}

const json::object& as_object(const json::value& value, std::string_view what) {
  if (!value.is_object()) refuse(std::string(what) + " must be an object");
  return value.as_object();
}

// What OpenAI takes for the audio parts; other files go as files.
std::string_view audio_format(std::string_view media_type) {
  if (media_type == "audio/wav" || media_type == "audio/x-wav") return "wav";
  if (media_type == "audio/mpeg" || media_type == "audio/mp3") return "mp3";
  return {};
}

bool is_json_object(std::string_view text) {
  std::array<unsigned char, 4096> space;
  json::monotonic_resource memory(space.data(), space.size());
  boost::system::error_code problem;
  const json::value value = json::parse(text, problem, &memory);
  return !problem && value.is_object();
}

// Servers that put the arguments into a prompt template refuse a request whose history holds
// arguments that are no object, and the conversation could never go on.
void write_arguments(json_writer& out, std::string_view arguments) {
  if (arguments.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    out.text("{}");
  } else if (is_json_object(arguments)) {
    out.text(arguments);
  } else {
    const json::object wrapped{
        {"malformed_arguments", cut_utf8(arguments, limits::malformed_arguments_bytes_max)}};
    out.text(json::serialize(wrapped));
  }
}

class message_writer {
 public:
  message_writer(const instance& where, const chat_options& how, std::string_view model,
                 json_writer& out)
      : where_(where), how_(how), model_(model), out_(out) {}

  void write(const json::array& messages) {
    std::size_t i = 0;
    while (i < messages.size()) {
      const json::object& message = as_object(messages[i], "a message");
      const std::string_view role = require_text(message, "role", "a message");
      if (role == "assistant") {
        assistant(message);
        ++i;
        continue;
      }
      if (role != "user" && role != "system") {
        refuse("the role '" + std::string(role) + "' is not known; use system, user or assistant");
      }
      // The results of tools must stand right behind the calls, before anything else of the run
      // of messages up to the next assistant message.
      std::size_t end = i;
      while (end < messages.size() && !is_assistant(messages[end])) ++end;
      for (std::size_t k = i; k < end; ++k) results(as_object(messages[k], "a message"));
      for (std::size_t k = i; k < end; ++k) rest(as_object(messages[k], "a message"));
      i = end;
    }
  }

 private:
  static bool is_assistant(const json::value& message) {
    return message.is_object() && text_or(message.as_object(), "role") == "assistant";
  }

  static std::string_view type_of(const json::value& part) {
    return require_text(as_object(part, "a part"), "type", "a part");
  }

  void results(const json::object& message) {
    for (const json::value& part : array_or_empty(message, "parts")) {
      if (type_of(part) != "tool_result") continue;
      const json::object& result = part.as_object();
      out_.open('{').member("role", "tool");
      out_.member("tool_call_id", require_text(result, "id", "a tool_result part"));
      out_.member("content", text_or(result, "output")).close('}');
    }
  }

  void rest(const json::object& message) {
    const std::string_view role = require_text(message, "role", "a message");
    const json::array& parts = array_or_empty(message, "parts");
    std::size_t texts = 0;
    std::size_t others = 0;
    for (const json::value& part : parts) {
      const std::string_view type = type_of(part);
      if (type == "text") {
        ++texts;
      } else if (type == "image" || type == "file") {
        ++others;
      } else if (type != "tool_result") {
        refuse("a " + std::string(role) + " message cannot hold a part of type '" +
               std::string(type) + "'");
      }
    }
    if (texts + others == 0) return;
    out_.open('{').member("role", role == "system" ? how_.system_role : role).key("content");
    if (texts == 1 && others == 0) {
      for (const json::value& part : parts) {
        if (type_of(part) == "text") out_.text(text_or(part.as_object(), "text"));
      }
    } else if (others == 0) {
      // A plain text is the form that every server takes.
      std::string joined;
      for (const json::value& part : parts) {
        if (type_of(part) != "text") continue;
        if (!joined.empty()) joined += "\n\n";
        joined += text_or(part.as_object(), "text");
      }
      out_.text(joined);
    } else {
      out_.open('[');
      for (const json::value& part : parts) content_part(part.as_object());
      out_.close(']');
    }
    out_.close('}');
  }

  void content_part(const json::object& part) {
    const std::string_view type = text_or(part, "type");
    if (type == "text") {
      out_.open('{').member("type", "text").member("text", text_or(part, "text")).close('}');
    } else if (type == "image") {
      out_.open('{').member("type", "image_url").key("image_url").open('{').key("url");
      if (const std::string_view url = text_or(part, "url"); !url.empty()) {
        out_.text(url);
      } else {
        out_.joined({"data:", require_text(part, "media_type", "an image part"), ";base64,",
                     require_text(part, "data", "an image part")});
      }
      out_.close('}').close('}');
    } else if (type == "file") {
      const std::string_view media_type = require_text(part, "media_type", "a file part");
      const std::string_view data = require_text(part, "data", "a file part");
      if (const std::string_view format = audio_format(media_type); !format.empty()) {
        out_.open('{').member("type", "input_audio").key("input_audio").open('{');
        out_.member("data", data).member("format", format).close('}').close('}');
        return;
      }
      out_.open('{').member("type", "file").key("file").open('{');
      out_.member("filename", text_or(part, "name", "file"));
      out_.key("file_data").joined({"data:", media_type, ";base64,", data}).close('}').close('}');
    }
  }

  void assistant(const json::object& message) {
    std::string text;
    const json::object* reasoning = nullptr;
    std::size_t calls = 0;
    const json::array& parts = array_or_empty(message, "parts");
    for (const json::value& part : parts) {
      const std::string_view type = type_of(part);
      if (type == "text") {
        text += text_or(part.as_object(), "text");
      } else if (type == "tool_call") {
        ++calls;
      } else if (type == "reasoning") {
        reasoning = &part.as_object();
      } else {
        refuse("an assistant message cannot hold a part of type '" + std::string(type) + "'");
      }
    }
    // Servers refuse an assistant message with nothing in it.
    if (text.empty() && calls == 0) return;
    out_.open('{').member("role", "assistant").key("content");
    const std::string_view thought = reasoning ? thought_in_content(*reasoning, calls > 0) : "";
    if (!thought.empty()) {
      out_.open('[').open('{').member("type", "thinking").key("thinking").open('[').open('{');
      out_.member("type", "text").member("text", thought).close('}').close(']').close('}');
      if (!text.empty()) out_.open('{').member("type", "text").member("text", text).close('}');
      out_.close(']');
    } else if (text.empty()) {
      out_.raw("null");
    } else {
      out_.text(text);
    }
    if (reasoning != nullptr) replay(*reasoning, calls > 0);
    if (calls > 0) {
      out_.key("tool_calls").open('[');
      for (const json::value& part : parts) {
        if (type_of(part) != "tool_call") continue;
        const json::object& call = part.as_object();
        out_.open('{').member("id", require_text(call, "id", "a tool_call part"));
        out_.member("type", "function").key("function").open('{');
        out_.member("name", require_text(call, "name", "a tool_call part"));
        out_.key("arguments");
        write_arguments(out_, text_or(call, "arguments"));
        out_.close('}');
        const json::object* opaque = kept_for(call, where_.name, model_);
        const json::value* extra = opaque ? find(*opaque, "extra_content") : nullptr;
        if (extra != nullptr) out_.key("extra_content").value(*extra);
        out_.close('}');
      }
      out_.close(']');
    }
    out_.close('}');
  }

  // Reasoning goes back only to the provider and the model that it came from, in the member that
  // it came in.
  void replay(const json::object& reasoning, bool tool_turn) {
    if (how_.replay == reasoning_replay::never) return;
    const json::object* opaque = kept_for(reasoning, where_.name, model_);
    if (opaque == nullptr) return;
    if (const json::value* details = find(*opaque, "details"); details && details->is_array()) {
      out_.key("reasoning_details").value(*details);
      return;
    }
    if (!tool_turn && how_.replay != reasoning_replay::always) return;
    const std::string_view field = text_or(*opaque, "field");
    if (field == "reasoning_content" || field == "reasoning") {
      out_.member(field, text_or(reasoning, "text"));
    }
  }

  // What came as a part of the content goes back as one; empty: there is none.
  std::string_view thought_in_content(const json::object& reasoning, bool tool_turn) const {
    const bool wanted = how_.replay == reasoning_replay::always ||
                        (tool_turn && how_.replay == reasoning_replay::tool_turns);
    const json::object* opaque = wanted ? kept_for(reasoning, where_.name, model_) : nullptr;
    if (opaque == nullptr || text_or(*opaque, "field") != "content") return {};
    return text_or(reasoning, "text");
  }

  const instance& where_;
  const chat_options& how_;
  std::string_view model_;
  json_writer& out_;
};

void write_response_format(json_writer& out, const json::value& value) {
  const json::object& format = as_object(value, "options.response_format");
  const std::string_view type = require_text(format, "type", "options.response_format");
  out.key("response_format");
  if (type != "json_schema") {
    out.value(value);
    return;
  }
  const json::value* schema = find(format, "schema");
  if (schema == nullptr) refuse("options.response_format has no schema");
  out.open('{').member("type", type).key("json_schema").open('{');
  out.member("name", text_or(format, "name", "answer"));
  if (const auto text = text_or(format, "description"); !text.empty()) {
    out.member("description", text);
  }
  out.key("schema").value(*schema);
  if (const json::value* strict = find(format, "strict"); strict != nullptr) {
    out.key("strict").value(*strict);
  }
  out.close('}').close('}');
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> same_options{{
    {"temperature", "temperature"},
    {"top_p", "top_p"},
    {"presence_penalty", "presence_penalty"},
    {"frequency_penalty", "frequency_penalty"},
    {"seed", "seed"},
    {"reasoning_effort", "reasoning_effort"},
    {"stop_sequences", "stop"},
    {"top_k", "top_k"},
}};

// What the body of a request takes from the options, and what it leaves out.
class option_writer {
 public:
  option_writer(const instance& where, const chat_options& how, const chat_learnt& learnt,
                outgoing& sent, json_writer& out)
      : where_(where), how_(how), learnt_(learnt), sent_(sent), out_(out) {}

  // A member that the configuration adds replaces ours.
  bool ours(std::string_view key) const { return !where_.body.contains(key); }

  void write(std::string_view option, std::string_view member, const json::value& value) {
    if (takes(option, member)) out_.key(member).value(value);
  }

  // Whether the server takes it; a warning when it does not.
  bool takes(std::string_view option, std::string_view member) {
    if (!ours(member)) return false;
    const auto has = [](const std::vector<std::string>& list, std::string_view name) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    if (!has(how_.unknown_options, option) && !learnt_.has(member)) return true;
    sent_.warnings.push_back("provider '" + where_.name + "' does not take " + std::string(option) +
                             ": the option was left out");
    return false;
  }

 private:
  const instance& where_;
  const chat_options& how_;
  const chat_learnt& learnt_;
  outgoing& sent_;
  json_writer& out_;
};

void write_tools(json_writer& out, const json::array& tools, const json::object& options,
                 option_writer& write) {
  if (tools.empty()) return;
  out.key("tools").open('[');
  for (const json::value& value : tools) {
    const json::object& tool = as_object(value, "a tool");
    out.open('{').member("type", "function").key("function").open('{');
    out.member("name", require_text(tool, "name", "a tool"));
    if (const auto text = text_or(tool, "description"); !text.empty()) {
      out.member("description", text);
    }
    out.key("parameters");
    if (const json::value* parameters = find(tool, "parameters"); parameters != nullptr) {
      out.value(*parameters);
    } else {
      out.raw(R"({"type":"object","properties":{}})");
    }
    out.close('}').close('}');
  }
  out.close(']');

  if (const json::value* choice = find(options, "tool_choice"); choice != nullptr) {
    if (choice->is_string()) {
      out.key("tool_choice").value(*choice);
    } else {
      const json::object& named = as_object(*choice, "options.tool_choice");
      out.key("tool_choice").open('{').member("type", "function").key("function").open('{');
      out.member("name", require_text(named, "name", "options.tool_choice")).close('}').close('}');
    }
  }
  if (const json::value* parallel = find(options, "parallel_tool_calls"); parallel != nullptr) {
    write.write("parallel_tool_calls", "parallel_tool_calls", *parallel);
  }
}

}  // namespace

outgoing build_chat_request(const instance& where, const chat_options& how,
                            const json::object& generate, const chat_learnt& learnt) {
  outgoing sent;
  sent.path = "/chat/completions";
  const std::string_view model = text_or(generate, "model", where.model);
  if (model.empty()) {
    refuse("no model is named, neither in the request nor in the configuration of provider '" +
           where.name + "'");
  }
  const bool stream = bool_or(generate, "stream", true);
  if (stream) sent.accept = "text/event-stream";
  const json::object& options = object_or_empty(generate, "options");

  json_writer out(sent.body);
  option_writer write(where, how, learnt, sent, out);
  out.open('{').member("model", model);
  out.key("stream").raw(stream ? "true" : "false");
  if (stream && how.stream_usage && write.ours("stream_options") && !learnt.has("stream_options")) {
    out.key("stream_options").raw(R"({"include_usage":true})");
  }
  out.key("messages").open('[');
  const json::array& messages = array_or_empty(generate, "messages");
  if (messages.empty()) refuse("messages is empty");
  message_writer(where, how, model, out).write(messages);
  out.close(']');
  write_tools(out, array_or_empty(generate, "tools"), options, write);

  for (const auto& [option, member] : same_options) {
    const json::value* value = find(options, option);
    if (value == nullptr) continue;
    if (value->is_array() && value->as_array().empty()) continue;
    write.write(option, member, *value);
  }
  if (const json::value* most = find(options, "max_tokens");
      most != nullptr && write.ours("max_tokens") && write.ours("max_completion_tokens")) {
    out.key(learnt.max_tokens_field.empty() ? how.max_tokens_field : learnt.max_tokens_field)
        .value(*most);
  }
  if (const json::value* format = find(options, "response_format");
      format != nullptr && write.ours("response_format")) {
    write_response_format(out, *format);
  }
  for (const auto& [key, value] : where.body) {
    if (key != "model" && key != "messages" && key != "stream" && key != "tools") {
      out.key(key).value(value);
    }
  }
  out.close('}');
  return sent;
}

}  // namespace rustic::provider
