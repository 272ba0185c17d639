// chat.hpp - Chat Completions, the dialect that most servers speak: request, answer, models,
// embeddings. What servers do differently is data (chat_options).
#pragma once
#include <optional>
#include <rustic/json.hpp>
#include <rustic/provider/answer_reader.hpp>
#include <rustic/provider/translator.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::provider {

// When the model's reasoning is sent back to it.
enum class reasoning_replay { never, tool_turns, always };

// How a server differs. The members of the same names in the configuration replace these.
struct chat_options {
  std::string max_tokens_field = "max_tokens";  // or max_completion_tokens
  std::string system_role = "system";           // or developer
  bool stream_usage = true;                     // ask for the usage at the end of a stream
  reasoning_replay replay = reasoning_replay::tool_turns;
  // Options of a generate request that the server is known not to take: left out with a warning.
  std::vector<std::string> unknown_options = {};
};

// Throws failure(INVALID_ARGUMENT) that names the instance and the member.
chat_options read_chat_options(std::string_view name, const json::object& members,
                               chat_options defaults = {});

// Forms of an answer that a server does not take, among what it has refused: a schema goes as
// "some JSON object" then, and in the end in words alone.
inline constexpr std::string_view form_schema = "response_format.json_schema";
inline constexpr std::string_view form_json = "response_format.json_object";

// What a server has refused so far for one model.
struct chat_learnt {
  std::string max_tokens_field;      // empty: that of the options
  std::vector<std::string> refused;  // members of the body
  bool has(std::string_view member) const;
  std::string text() const;
  static chat_learnt from(std::string_view text);
};

// The request for base_url + /chat/completions. Throws failure(INVALID_ARGUMENT) that names the
// member which cannot be sent.
outgoing build_chat_request(const instance& where, const chat_options& how,
                            const json::object& generate, const chat_learnt& learnt = {});

// The answer: a stream of chunks, or one completion.
class chat_reader : public answer_reader {
 public:
  chat_reader(const subject& about, std::uint64_t id_seed) : answer_reader(about, id_seed) {}

 protected:
  void event(std::string_view name, const json::value& data) override;
  void whole(const json::value& body) override;
  // Some servers put an empty reason into every chunk.
  bool complete() const override {
    return done_ || !answer_.raw_finish().value_or(std::string()).empty();
  }
  void done_mark() override;
  void closing() override;

 private:
  void chunk_(const json::object& chunk, bool whole);
  void choice_(const json::object& choice, bool whole);
  void delta_(const json::object& delta);
  void content_(const json::value& content);
  void reasoning_(const json::object& delta);
  void reasoning_detail_(const json::object& detail);
  void usage_(const json::object& usage);
  void text_(std::string_view piece);
  void think_(std::string_view piece);
  std::size_t thinking_();

  std::optional<std::size_t> text_part_;
  std::optional<std::size_t> thought_part_;
  std::string field_;    // the member in which reasoning came
  json::array details_;  // signed reasoning, put together
  bool done_ = false;
};

// The answers of /models and /embeddings, as translator::read_models and read_embeddings.
void read_model_list(const subject& about, std::string_view body, json::array& models);
std::string build_embeddings_request(const json::object& request);
json::object read_embedding_list(const subject& about, std::string_view body, std::size_t inputs);

// A whole provider. Derive from it to change what an API has of its own.
class chat_translator : public translator {
 public:
  chat_translator(instance where, chat_options how)
      : translator(std::move(where)), options_(std::move(how)) {}

  outgoing generate(const json::object& request) override;
  std::unique_ptr<answer_reader> reader(const subject& about, std::uint64_t id_seed) override;
  // Learns which members the server does not take for a model.
  bool reconsider(const refused_attempt& attempt) override;
  outgoing models(std::string_view page) override;
  std::string read_models(const subject& about, std::string_view body,
                          json::array& models) override;
  outgoing embed(const json::object& request) override;
  json::object read_embeddings(const subject& about, std::string_view body,
                               const json::object& request) override;

 protected:
  const chat_options& options() const { return options_; }

 private:
  const chat_options options_;
  model_memory learnt_;
};

}  // namespace rustic::provider
