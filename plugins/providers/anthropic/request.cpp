#include "request.hpp"

#include <algorithm>
#include <rustic/provider/json_writer.hpp>
#include <rustic/provider/turns.hpp>
#include <rustic/status.hpp>

namespace rustic::anthropic {
namespace {

using provider::instance;
using provider::json_writer;
using provider::outgoing;
using provider::refuse_request;
using provider::speaker;
using provider::turn;
using provider::turn_part;

constexpr std::int64_t budget_tokens_min = 1'024;
constexpr std::string_view no_properties = R"({"type":"object","properties":{}})";

// The forms of the member "thinking".
enum class thinking { absent, adaptive, budget, disabled };

std::int64_t budget_for(std::string_view effort) {
  if (effort == "low" || effort == "minimal") return 2'048;
  if (effort == "medium") return 8'192;
  return 24'576;
}

class request_builder {
 public:
  request_builder(const instance& where, const settings& how, const learnt& known,
                  const json::object& generate, bool counting)
      : where_(where),
        how_(how),
        known_(known),
        generate_(generate),
        options_(object_or_empty(generate, "options")),
        model_(provider::model_of(generate, where)),
        counting_(counting),
        turns_(provider::read_turns(generate)),
        out_(sent_.body) {
    const bool marks = !counting && how.prompt_cache != "off" && !known.has("cache_control") &&
                       !where.body.contains("cache_control");
    if (marks) {
      mark_ = how.prompt_cache == "1h" ? R"({"type":"ephemeral","ttl":"1h"})"
                                       : R"({"type":"ephemeral"})";
    }
  }

  outgoing build() {
    sent_.path = counting_ ? "/v1/messages/count_tokens" : "/v1/messages";
    const bool stream = bool_or(generate_, "stream", true) && !counting_;
    if (stream) sent_.accept = "text/event-stream";
    headers();
    out_.open('{').member("model", model_);
    if (!counting_) {
      out_.key("stream").raw(stream ? "true" : "false");
      decide_thinking();
    }
    tools();
    system();
    messages();
    if (!counting_) {
      out_.key("max_tokens").raw(std::to_string(max_tokens()));
      sampling();
      write_thinking();
      output_config();
      for (const auto& [key, value] : where_.body) {
        if (!written_elsewhere(key)) out_.key(key).value(value);
      }
    }
    out_.close('}');
    return std::move(sent_);
  }

 private:
  static bool written_elsewhere(std::string_view key) {
    return key == "model" || key == "messages" || key == "stream" || key == "tools" ||
           key == "system" || key == "max_tokens" || key == "output_config";
  }
  bool ours(std::string_view key) const { return !where_.body.contains(key); }
  void warn(std::string text) { sent_.warnings.push_back(std::move(text)); }
  void left_out(std::string_view option) { warn(provider::left_out(where_, option)); }

  void headers() {
    sent_.headers.emplace_back("anthropic-version", "2023-06-01");
    std::string betas;
    for (const std::string& one : how_.betas) betas.append(betas.empty() ? "" : ",").append(one);
    if (!betas.empty()) sent_.headers.emplace_back("anthropic-beta", std::move(betas));
  }

  std::int64_t max_tokens() {
    if (const json::value* most = find(where_.body, "max_tokens"); most && most->is_int64()) {
      return most->as_int64();
    }
    const std::int64_t asked = int_or(options_, "max_tokens");
    const std::int64_t most = asked > 0 ? asked : how_.max_tokens;
    if (known_.max_tokens == 0 || most <= known_.max_tokens) return most;
    if (asked > 0 && !told_max_) {
      told_max_ = true;
      warn("provider '" + where_.name + "': model '" + std::string(model_) + "' gives at most " +
           std::to_string(known_.max_tokens) + " tokens: max_tokens was lowered to that");
    }
    return known_.max_tokens;
  }

  bool forces_a_tool() const {
    const json::value* choice = find(options_, "tool_choice");
    return choice != nullptr && (choice->is_object() || *choice == "required");
  }

  // In the middle of a tool loop the API wants the thinking of the turn in front of its calls. What
  // another model has begun has none.
  bool loop_without_thinking() const {
    if (turns_.size() < 2 || turns_.back().who != speaker::user) return false;
    const turn& before = turns_[turns_.size() - 2];
    if (before.who != speaker::assistant || turns_.back().parts.front().type != "tool_result") {
      return false;
    }
    for (const turn_part& part : before.parts) {
      if (part.type == "reasoning" && sends_reasoning(*part.body)) return false;
    }
    return true;
  }

  void decide_thinking() {
    effort_ = text_or(options_, "reasoning_effort");
    if (effort_.empty() || how_.thinking == "off" || !ours("thinking")) return;
    if (effort_ == "none") {
      if (!known_.has("disabled")) thinking_ = thinking::disabled;
      return;
    }
    if (forces_a_tool()) {
      warn("provider '" + where_.name +
           "': a model that must call a tool cannot think first: reasoning_effort was left out");
      return;
    }
    const bool adaptive = how_.thinking != "enabled" && !known_.has("adaptive");
    const bool budget = how_.thinking != "adaptive" && !known_.has("budget");
    if (adaptive) {
      thinking_ = thinking::adaptive;
      return;
    }
    // Some of the limit has to be left for the answer.
    budget_tokens_ = std::min(budget_for(effort_), max_tokens() / 4 * 3);
    if (!budget || budget_tokens_ < budget_tokens_min || loop_without_thinking()) {
      left_out("reasoning_effort");
      return;
    }
    thinking_ = thinking::budget;
  }

  void write_thinking() {
    switch (thinking_) {
      case thinking::absent:
        return;
      case thinking::disabled:
        out_.key("thinking").raw(R"({"type":"disabled"})");
        return;
      case thinking::adaptive:
        out_.key("thinking")
            .raw(known_.has("display") ? R"({"type":"adaptive"})"
                                       : R"({"type":"adaptive","display":"summarized"})");
        return;
      case thinking::budget:
        out_.key("thinking")
            .raw(R"({"type":"enabled","budget_tokens":)" + std::to_string(budget_tokens_) + "}");
    }
  }

  void sampling() {
    const bool thinks = thinking_ == thinking::adaptive || thinking_ == thinking::budget;
    for (const std::string_view name : {"temperature", "top_p", "top_k"}) {
      const json::value* value = find(options_, name);
      if (value == nullptr || !ours(name)) continue;
      if (thinks || known_.has(name)) {
        left_out(name);
      } else {
        out_.key(name).value(*value);
      }
    }
    if (const json::array& stops = array_or_empty(options_, "stop_sequences");
        !stops.empty() && ours("stop_sequences")) {
      out_.key("stop_sequences").value(stops);
    }
    for (const std::string_view name : {"presence_penalty", "frequency_penalty", "seed"}) {
      if (find(options_, name) != nullptr) left_out(name);
    }
  }

  // The schema of the answer, or null when the answer is free.
  const json::object* format() const {
    const json::value* value = find(options_, "response_format");
    if (value == nullptr) return nullptr;
    const json::object& one = provider::request_object(*value, "options.response_format");
    return require_text(one, "type", "options.response_format") == "text" ? nullptr : &one;
  }

  std::optional<json::value> native_schema() const {
    const json::object* wanted = format();
    if (wanted == nullptr || known_.has("format")) return std::nullopt;
    const json::value* schema = find(*wanted, "schema");
    return schema == nullptr ? std::nullopt : closed_schema(*schema);
  }

  void output_config() {
    json::object config;
    if (thinking_ == thinking::adaptive && !known_.has("effort")) {
      config["effort"] = effort_ == "minimal" ? "low" : effort_;
    }
    if (std::optional<json::value> schema = native_schema()) {
      config["format"] = json::object{{"type", "json_schema"}, {"schema", std::move(*schema)}};
    }
    for (const auto& [key, value] : object_or_empty(where_.body, "output_config")) {
      config[key] = value;
    }
    if (!config.empty()) out_.key("output_config").value(config);
  }

  void cache_mark() {
    if (!mark_.empty()) out_.key("cache_control").raw(mark_);
  }

  void tools() {
    const json::array& tools = array_or_empty(generate_, "tools");
    if (tools.empty() && how_.server_tools.empty()) return;
    out_.key("tools").open('[');
    for (const json::value& tool : how_.server_tools) out_.value(tool);
    for (std::size_t i = 0; i < tools.size(); ++i) {
      const json::object& tool = provider::request_object(tools[i], "a tool");
      out_.open('{').member("name", require_text(tool, "name", "a tool"));
      if (const auto text = text_or(tool, "description"); !text.empty()) {
        out_.member("description", text);
      }
      out_.key("input_schema");
      const json::object& parameters = object_or_empty(tool, "parameters");
      if (parameters.empty()) {
        out_.raw(no_properties);
      } else if (parameters.contains("type")) {
        out_.value(parameters);
      } else {
        json::object typed = parameters;
        typed["type"] = "object";
        out_.value(typed);
      }
      if (i + 1 == tools.size()) cache_mark();
      out_.close('}');
    }
    out_.close(']');
    tool_choice();
  }

  void tool_choice() {
    const json::value* choice = find(options_, "tool_choice");
    const json::value* parallel = find(options_, "parallel_tool_calls");
    const bool one_at_a_time = parallel != nullptr && *parallel == false;
    if ((choice == nullptr && !one_at_a_time) || !ours("tool_choice")) return;
    out_.key("tool_choice").open('{');
    bool none = false;
    if (choice == nullptr || *choice == "auto") {
      out_.member("type", "auto");
    } else if (*choice == "none") {
      none = true;
      out_.member("type", "none");
    } else if (*choice == "required") {
      out_.member("type", "any");
    } else {
      const json::object& named = provider::request_object(*choice, "options.tool_choice");
      out_.member("type", "tool");
      out_.member("name", require_text(named, "name", "options.tool_choice"));
    }
    if (one_at_a_time && !none) out_.key("disable_parallel_tool_use").raw("true");
    out_.close('}');
  }

  void system() {
    if (const json::value* replaced = find(where_.body, "system")) {
      out_.key("system").value(*replaced);
      return;
    }
    const bool has = turns_.front().who == speaker::system;
    const json::object* wanted = format();
    const bool by_words = wanted != nullptr && !counting_ && !native_schema();
    if (!has && !by_words) return;
    out_.key("system").open('[');
    if (has) {
      const std::vector<turn_part>& parts = turns_.front().parts;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        out_.open('{').member("type", "text").member("text", text_or(*parts[i].body, "text"));
        if (i + 1 == parts.size()) cache_mark();
        out_.close('}');
      }
    }
    if (by_words) {
      std::string words =
          "Your final answer is one JSON value and nothing else: no explanation, "
          "no code fence.";
      if (const json::value* schema = find(*wanted, "schema")) {
        words += " It must fit this JSON Schema:\n" + json::serialize(*schema);
      }
      out_.open('{').member("type", "text").member("text", words).close('}');
    }
    out_.close(']');
  }

  void messages() {
    std::size_t last_user = turns_.size();
    std::size_t user_before = turns_.size();
    for (std::size_t i = 0; i < turns_.size(); ++i) {
      if (turns_[i].who != speaker::user) continue;
      user_before = last_user;
      last_user = i;
    }
    out_.key("messages").open('[');
    bool any = false;
    for (std::size_t i = 0; i < turns_.size(); ++i) {
      if (turns_[i].who == speaker::user) {
        user(turns_[i], i == last_user || i == user_before);
        any = true;
      } else if (turns_[i].who == speaker::assistant) {
        assistant(turns_[i], i + 1 == turns_.size());
      }
    }
    out_.close(']');
    if (!any) refuse_request("messages has no message of the user");
  }

  void user(const turn& one, bool marked) {
    out_.open('{').member("role", "user").key("content").open('[');
    for (const turn_part& part : one.parts) {
      out_.open('{');
      if (part.type == "tool_result") {
        tool_result(*part.body);
      } else if (part.type == "text") {
        out_.member("type", "text").member("text", provider::part_text(part));
      } else {
        attachment(part);
      }
      if (marked && &part == &one.parts.back()) cache_mark();
      out_.close('}');
    }
    out_.close(']').close('}');
  }

  void tool_result(const json::object& result) {
    out_.member("type", "tool_result");
    out_.member("tool_use_id",
                provider::plain_id(require_text(result, "id", "a tool_result part")));
    if (const auto output = text_or(result, "output"); !output.empty()) {
      out_.member("content", output);
    }
    if (bool_or(result, "is_error")) out_.key("is_error").raw("true");
  }

  void base64(std::string_view media_type, std::string_view data) {
    out_.key("source").open('{').member("type", "base64");
    out_.member("media_type", media_type).member("data", data).close('}');
  }

  void attachment(const turn_part& part) {
    const json::object& file = *part.body;
    const std::string_view data = text_or(file, "data");
    const std::string_view url = text_or(file, "url");
    const std::string_view media_type =
        text_or(file, "media_type", part.type == "image" ? "image/png" : "");
    const bool image = part.type == "image" || media_type.starts_with("image/");
    if (image || media_type == "application/pdf") {
      out_.member("type", image ? "image" : "document");
      if (!data.empty()) {
        base64(media_type, data);
      } else if (!url.empty()) {
        out_.key("source").open('{').member("type", "url").member("url", url).close('}');
      } else {
        refuse_request("an attachment has neither data nor url");
      }
    } else if (provider::is_text_type(media_type)) {
      const std::optional<std::string> text = provider::decode_base64(data);
      if (!text) refuse_request("the data of a file is not base64");
      out_.member("type", "document").key("source").open('{').member("type", "text");
      out_.member("media_type", "text/plain").member("data", to_utf8(*text)).close('}');
    } else {
      refuse_request("files of the type '" + std::string(media_type) +
                     "' are not taken by this API; it takes images, PDF and text");
    }
    if (const auto name = text_or(file, "name"); !image && !name.empty()) {
      out_.member("title", name);
    }
  }

  // Reasoning goes back only to the provider and the model that it came from, as it came.
  bool sends_reasoning(const json::object& part) const {
    const json::object* kept = provider::kept_for(part, where_.name, model_);
    return kept != nullptr && !kept->contains("refused") &&
           (kept->contains("signature") || kept->contains("block"));
  }

  bool sends(const turn_part& part) const {
    if (part.type == "tool_call") return true;
    if (part.type == "reasoning") return sends_reasoning(*part.body);
    const json::object* kept = provider::kept_for(*part.body, where_.name, model_);
    if (kept != nullptr && kept->contains("refused")) return false;
    return text_or(*part.body, "text").find_first_not_of(" \t\r\n") != std::string_view::npos;
  }

  // A tool of the server that was still at work: the API takes such a call only as the end of all.
  bool is_open_call(const turn& one, const turn_part& part) const {
    const auto block_of = [&](const turn_part& from) {
      const json::object* kept = provider::kept_for(*from.body, where_.name, model_);
      return kept == nullptr ? json::object{} : object_or_empty(*kept, "block");
    };
    const json::object call = block_of(part);
    const std::string_view type = text_or(call, "type");
    if (type != "server_tool_use" && type != "mcp_tool_use") return false;
    return std::none_of(one.parts.begin(), one.parts.end(), [&](const turn_part& other) {
      return text_or(block_of(other), "tool_use_id") == text_or(call, "id");
    });
  }

  void assistant(const turn& one, bool last) {
    std::vector<const turn_part*> parts;
    for (const turn_part& part : one.parts) {
      if (sends(part) && (last || !is_open_call(one, part))) parts.push_back(&part);
    }
    if (parts.empty()) return;  // an answer may be empty, a message may not
    out_.open('{').member("role", "assistant").key("content").open('[');
    for (const turn_part* sent : parts) {
      const turn_part& part = *sent;
      const json::object* kept = provider::kept_for(*part.body, where_.name, model_);
      const json::value* block = kept == nullptr ? nullptr : find(*kept, "block");
      if (block != nullptr) {
        out_.value(*block);
        continue;
      }
      out_.open('{');
      if (part.type == "tool_call") {
        const json::object& call = *part.body;
        out_.member("type", "tool_use");
        out_.member("id", provider::plain_id(require_text(call, "id", "a tool_call part")));
        out_.member("name", require_text(call, "name", "a tool_call part"));
        out_.key("input").raw(provider::object_arguments(text_or(call, "arguments")));
      } else if (part.type == "reasoning") {
        out_.member("type", "thinking").member("thinking", text_or(*part.body, "text"));
        out_.member("signature", text_or(*kept, "signature"));
      } else {
        std::string_view text = text_or(*part.body, "text");
        // The API refuses an answer to go on with that ends in white space.
        if (last && sent == parts.back())
          text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
        out_.member("type", "text").member("text", text);
        if (kept != nullptr && kept->contains("citations")) {
          out_.key("citations").value(kept->at("citations"));
        }
      }
      out_.close('}');
    }
    out_.close(']').close('}');
  }

  const instance& where_;
  const settings& how_;
  const learnt& known_;
  const json::object& generate_;
  const json::object& options_;
  const std::string_view model_;
  const bool counting_;
  const std::vector<turn> turns_;
  outgoing sent_;
  json_writer out_;
  std::string_view mark_;  // empty: no cache marks
  std::string_view effort_;
  thinking thinking_ = thinking::absent;
  std::int64_t budget_tokens_ = 0;
  bool told_max_ = false;
};

}  // namespace

settings read_settings(std::string_view name, const json::object& members) {
  settings out;
  out.max_tokens = int_or(members, "max_tokens", out.max_tokens);
  if (out.max_tokens < 1) provider::refuse_member(name, "max_tokens", "must be at least 1");
  out.prompt_cache = provider::choice_member(name, members, "prompt_cache", {"5m", "1h", "off"});
  out.thinking =
      provider::choice_member(name, members, "thinking", {"auto", "adaptive", "enabled", "off"});
  for (const json::value& beta : array_or_empty(members, "betas")) {
    if (!beta.is_string()) provider::refuse_member(name, "betas", "must hold texts");
    out.betas.emplace_back(beta.as_string());
  }
  for (const json::value& tool : array_or_empty(members, "server_tools")) {
    if (!tool.is_object()) provider::refuse_member(name, "server_tools", "must hold tables");
    out.server_tools.push_back(tool);
  }
  return out;
}

bool learnt::has(std::string_view word) const {
  return std::find(refused.begin(), refused.end(), word) != refused.end();
}

std::string learnt::text() const {
  std::string out = std::to_string(max_tokens);
  for (const std::string& word : refused) out.append(" ").append(word);
  return out;
}

learnt learnt::from(std::string_view text) {
  learnt out;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (!word.empty() && word.front() >= '0' && word.front() <= '9') {
      out.max_tokens = std::stoll(std::string(word));
    } else {
      out.refused.emplace_back(word);
    }
  }
  return out;
}

outgoing build_request(const instance& where, const settings& how, const learnt& known,
                       const json::object& generate) {
  return request_builder(where, how, known, generate, false).build();
}

outgoing build_count_request(const instance& where, const settings& how,
                             const json::object& generate) {
  return request_builder(where, how, {}, generate, true).build();
}

}  // namespace rustic::anthropic
