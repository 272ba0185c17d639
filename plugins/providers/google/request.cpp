#include "request.hpp"

#include <algorithm>
#include <map>
#include <rustic/provider/json_writer.hpp>
#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>

namespace rustic::google {
namespace {

using provider::instance;
using provider::json_writer;
using provider::outgoing;
using provider::refuse_request;
using provider::speaker;
using provider::turn;
using provider::turn_part;

// What the API takes in place of a signature, for calls that another model made.
constexpr std::string_view no_signature = "skip_thought_signature_validator";

class request_builder {
 public:
  request_builder(const instance& where, const settings& how, const learnt& known,
                  const json::object& generate)
      : where_(where),
        how_(how),
        known_(known),
        generate_(generate),
        options_(object_or_empty(generate, "options")),
        model_(provider::model_of(generate, where)),
        openapi_(how.openapi || known.has("openapi")),
        turns_(provider::read_turns(generate)),
        out_(sent_.body) {}

  outgoing build() {
    const bool stream = bool_or(generate_, "stream", true);
    sent_.path = model_path(model_);
    sent_.path += stream ? ":streamGenerateContent?alt=sse" : ":generateContent";
    if (stream) sent_.accept = "text/event-stream";
    out_.open('{');
    content();
    tool_config();
    generation_config();
    for (const auto& [key, value] : where_.body) {
      if (key != "contents" && key != "generationConfig" && key != "systemInstruction" &&
          key != "tools" && key != "toolConfig") {
        out_.key(key).value(value);
      }
    }
    out_.close('}');
    return std::move(sent_);
  }

  outgoing build_count() {
    sent_.path = model_path(model_) + ":countTokens";
    // Vertex wants the members themselves.
    const bool nested =
        !where_.is_at("googleapis.com") || where_.is_at("generativelanguage.googleapis.com");
    out_.open('{');
    if (nested) {
      out_.key("generateContentRequest").open('{');
      out_.member("model", model_resource(model_));
    }
    content();
    if (nested) out_.close('}');
    out_.close('}');
    sent_.warnings.clear();
    return std::move(sent_);
  }

 private:
  bool ours(std::string_view key) const { return !where_.body.contains(key); }
  void left_out(std::string_view option) {
    sent_.warnings.push_back(provider::left_out(where_, option));
  }

  void content() {
    system();
    contents();
    tools();
  }

  // The form of the answer that is asked for, or null.
  const json::object* format() const {
    const json::value* value = find(options_, "response_format");
    if (value == nullptr) return nullptr;
    const json::object& one = provider::request_object(*value, "options.response_format");
    return require_text(one, "type", "options.response_format") == "text" ? nullptr : &one;
  }
  bool has_tools() const { return !array_or_empty(generate_, "tools").empty(); }
  bool format_by_words() const {
    return known_.has("format") || (has_tools() && known_.has("format_with_tools"));
  }

  void system() {
    if (const json::value* replaced = find(where_.body, "systemInstruction")) {
      out_.key("systemInstruction").value(*replaced);
      return;
    }
    std::vector<std::string> texts;
    if (turns_.front().who == speaker::system) {
      for (const turn_part& part : turns_.front().parts) {
        texts.emplace_back(text_or(*part.body, "text"));
      }
    }
    if (const json::object* wanted = format(); wanted != nullptr && format_by_words()) {
      std::string words =
          "Your final answer is one JSON value and nothing else: no explanation, "
          "no code fence.";
      if (const json::value* schema = find(*wanted, "schema")) {
        words += " It must fit this JSON Schema:\n" + json::serialize(*schema);
      }
      texts.push_back(std::move(words));
    }
    if (texts.empty()) return;
    if (known_.has("system")) {
      instructions_ = std::move(texts);
      return;
    }
    out_.key("systemInstruction").open('{').key("parts").open('[');
    for (const std::string& text : texts) out_.open('{').member("text", text).close('}');
    out_.close(']').close('}');
  }

  void contents() {
    out_.key("contents").open('[');
    bool any = false;
    for (const turn& one : turns_) {
      if (one.who == speaker::user) {
        user(one, !any);
        any = true;
      } else if (one.who == speaker::assistant) {
        model(one);
      }
    }
    out_.close(']');
    if (!any) refuse_request("messages has no message of the user");
  }

  void user(const turn& one, bool first) {
    out_.open('{').member("role", "user").key("parts").open('[');
    if (first) {
      for (const std::string& text : instructions_) {
        out_.open('{').member("text", text).close('}');
      }
    }
    for (const turn_part& part : one.parts) {
      out_.open('{');
      if (part.type == "tool_result") {
        result(*part.body);
      } else if (part.type == "text") {
        out_.member("text", provider::part_text(part));
      } else {
        attachment(part);
      }
      out_.close('}');
    }
    out_.close(']').close('}');
  }

  void result(const json::object& part) {
    const std::string id(require_text(part, "id", "a tool_result part"));
    const auto made = calls_.find(id);
    std::string_view name = text_or(part, "name");
    if (name.empty() && made != calls_.end()) name = made->second.name;
    if (name.empty()) refuse_request("a tool_result part has no name and answers no call");
    out_.key("functionResponse").open('{');
    if (made != calls_.end() && !made->second.id.empty()) out_.member("id", made->second.id);
    out_.member("name", name).key("response").open('{');
    out_.member(bool_or(part, "is_error") ? "error" : "output", text_or(part, "output"));
    out_.close('}').close('}');
  }

  void attachment(const turn_part& part) {
    const json::object& file = *part.body;
    const std::string_view data = text_or(file, "data");
    const std::string_view url = text_or(file, "url");
    std::string_view media_type = text_or(file, "media_type");
    if (media_type.empty() && part.type == "image") media_type = "image/png";
    if (media_type.empty()) refuse_request("a file has no media_type");
    if (!data.empty()) {
      out_.key("inlineData").open('{').member("mimeType", media_type).member("data", data);
    } else if (!url.empty()) {
      out_.key("fileData").open('{').member("mimeType", media_type).member("fileUri", url);
    } else {
      refuse_request("an attachment has neither data nor url");
    }
    out_.close('}');
  }

  const json::object* kept(const turn_part& part) const {
    return provider::kept_for(*part.body, where_.name, model_);
  }

  bool sends(const turn_part& part) const {
    if (part.type == "tool_call") return true;
    const json::object* opaque = kept(part);
    if (opaque != nullptr && (opaque->contains("signature") || opaque->contains("part"))) {
      return true;
    }
    // What a model thought is of no use to it without a signature.
    return part.type == "text" &&
           text_or(*part.body, "text").find_first_not_of(" \t\r\n") != std::string_view::npos;
  }

  void model(const turn& one) {
    if (std::none_of(one.parts.begin(), one.parts.end(),
                     [&](const turn_part& part) { return sends(part); })) {
      return;
    }
    out_.open('{').member("role", "model").key("parts").open('[');
    bool first_call = true;
    for (const turn_part& part : one.parts) {
      if (!sends(part)) continue;
      const json::object* opaque = kept(part);
      if (opaque != nullptr && opaque->contains("part")) {
        out_.value(opaque->at("part"));
        continue;
      }
      std::string_view signature = opaque == nullptr ? "" : text_or(*opaque, "signature");
      out_.open('{');
      if (part.type == "tool_call") {
        call(*part.body, opaque);
        if (first_call && signature.empty() && known_.has("skip_signature")) {
          signature = no_signature;
        }
        first_call = false;
      } else {
        out_.member("text", text_or(*part.body, "text"));
        if (part.type == "reasoning") out_.key("thought").raw("true");
      }
      if (!signature.empty()) out_.member("thoughtSignature", signature);
      out_.close('}');
    }
    out_.close(']').close('}');
  }

  void call(const json::object& part, const json::object* opaque) {
    const std::string_view id = require_text(part, "id", "a tool_call part");
    const std::string_view name = require_text(part, "name", "a tool_call part");
    const std::string_view theirs = opaque == nullptr ? "" : text_or(*opaque, "id");
    calls_[std::string(id)] = {std::string(name), std::string(theirs)};
    out_.key("functionCall").open('{');
    if (!theirs.empty()) out_.member("id", theirs);
    out_.member("name", name);
    out_.key("args").raw(provider::object_arguments(text_or(part, "arguments")));
    out_.close('}');
  }

  json::value schema(const json::value& from, std::string_view of) {
    translated_schema made = openapi_ ? openapi_schema(from) : known_schema(from);
    if (!made.lost.empty()) {
      std::string names;
      for (const std::string& name : made.lost) {
        names.append(names.empty() ? "" : ", ").append(name);
      }
      sent_.warnings.push_back("provider '" + where_.name + "': the schema of " + std::string(of) +
                               " was sent without " + names +
                               ", which this API does not take; arguments are still checked");
    }
    return std::move(made.schema);
  }

  void tools() {
    const json::array& tools = array_or_empty(generate_, "tools");
    const json::array& more = array_or_empty(where_.body, "tools");
    if (tools.empty() && more.empty()) return;
    out_.key("tools").open('[');
    if (!tools.empty()) {
      out_.open('{').key("functionDeclarations").open('[');
      for (const json::value& value : tools) declare(provider::request_object(value, "a tool"));
      out_.close(']').close('}');
    }
    for (const json::value& one : more) out_.value(one);
    out_.close(']');
  }

  void declare(const json::object& tool) {
    const std::string_view name = require_text(tool, "name", "a tool");
    out_.open('{').member("name", name);
    if (const auto text = text_or(tool, "description"); !text.empty()) {
      out_.member("description", text);
    }
    const json::value* parameters = find(tool, "parameters");
    const bool any = parameters != nullptr && parameters->is_object() &&
                     !object_or_empty(parameters->as_object(), "properties").empty();
    // An object without properties is refused; no parameters are not.
    if (any) {
      out_.key(openapi_ ? "parameters" : "parametersJsonSchema");
      out_.value(schema(*parameters, "tool " + std::string(name)));
    }
    out_.close('}');
  }

  void tool_config() {
    if (const json::value* replaced = find(where_.body, "toolConfig")) {
      out_.key("toolConfig").value(*replaced);
      return;
    }
    const json::value* parallel = find(options_, "parallel_tool_calls");
    if (parallel != nullptr && *parallel == false && has_tools()) left_out("parallel_tool_calls");
    const json::value* choice = find(options_, "tool_choice");
    if (choice == nullptr || !has_tools()) return;
    out_.key("toolConfig").open('{').key("functionCallingConfig").open('{');
    if (*choice == "none") {
      out_.member("mode", "NONE");
    } else if (*choice == "auto") {
      out_.member("mode", "AUTO");
    } else {
      out_.member("mode", "ANY");
      if (*choice != "required") {
        const json::object& named = provider::request_object(*choice, "options.tool_choice");
        out_.key("allowedFunctionNames").open('[');
        out_.text(require_text(named, "name", "options.tool_choice")).close(']');
      }
    }
    out_.close('}').close('}');
  }

  void generation_config() {
    json::object config;
    const auto take = [&](std::string_view option, std::string_view member) {
      const json::value* value = find(options_, option);
      if (value == nullptr || (value->is_array() && value->as_array().empty())) return;
      if (known_.has(option)) {
        left_out(option);
      } else {
        config[member] = *value;
      }
    };
    take("max_tokens", "maxOutputTokens");
    take("temperature", "temperature");
    take("top_p", "topP");
    take("top_k", "topK");
    take("seed", "seed");
    take("presence_penalty", "presencePenalty");
    take("frequency_penalty", "frequencyPenalty");
    take("stop_sequences", "stopSequences");
    if (const json::object* wanted = format(); wanted != nullptr && !format_by_words()) {
      config["responseMimeType"] = "application/json";
      if (const json::value* form = find(*wanted, "schema")) {
        config[openapi_ ? "responseSchema" : "responseJsonSchema"] = schema(*form, "the answer");
      }
    }
    if (json::object thinking = thinking_config(); !thinking.empty()) {
      config["thinkingConfig"] = std::move(thinking);
    }
    for (const auto& [key, value] : object_or_empty(where_.body, "generationConfig")) {
      config[key] = value;
    }
    if (!config.empty()) out_.key("generationConfig").value(config);
  }

  json::object thinking_config() {
    json::object out;
    const std::string_view effort = text_or(options_, "reasoning_effort");
    if (effort == "none") {
      if (!known_.has("budget")) out["thinkingBudget"] = 0;
      return out;
    }
    if (how_.thoughts && !known_.has("thoughts")) out["includeThoughts"] = true;
    if (effort.empty()) return out;
    if (!known_.has("level")) {
      out["thinkingLevel"] = effort == "minimal"  ? "MINIMAL"
                             : effort == "low"    ? "LOW"
                             : effort == "medium" ? "MEDIUM"
                                                  : "HIGH";
    } else if (!known_.has("budget")) {
      out["thinkingBudget"] = effort == "low" || effort == "minimal" ? 2'048
                              : effort == "medium"                   ? 8'192
                                                                     : 24'576;
    } else {
      left_out("reasoning_effort");
    }
    return out;
  }

  struct made_call {
    std::string name;
    std::string id;  // that the server gave; empty: none
  };

  const instance& where_;
  const settings& how_;
  const learnt& known_;
  const json::object& generate_;
  const json::object& options_;
  const std::string_view model_;
  const bool openapi_;
  const std::vector<turn> turns_;
  outgoing sent_;
  json_writer out_;
  std::vector<std::string> instructions_;  // for a model that takes none apart
  std::map<std::string, made_call, std::less<>> calls_;
};

}  // namespace

bool learnt::has(std::string_view word) const {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string learnt::text() const {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : " ").append(word);
  return out;
}

learnt learnt::from(std::string_view text) {
  learnt out;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    out.words.emplace_back(word);
  }
  return out;
}

std::string model_path(std::string_view model) {
  std::string out;
  if (model.find('/') == std::string_view::npos) out = "/models";
  while (!model.empty()) {
    const std::string_view segment = model.substr(0, model.find('/'));
    model.remove_prefix(std::min(segment.size() + 1, model.size()));
    out += "/" + provider::url_segment(segment);
  }
  return out;
}

std::string model_resource(std::string_view model) {
  return (model.find('/') == std::string_view::npos ? "models/" : "") + std::string(model);
}

outgoing build_request(const instance& where, const settings& how, const learnt& known,
                       const json::object& generate) {
  return request_builder(where, how, known, generate).build();
}

outgoing build_count_request(const instance& where, const settings& how,
                             const json::object& generate) {
  const learnt nothing;
  return request_builder(where, how, nothing, generate).build_count();
}

}  // namespace rustic::google
