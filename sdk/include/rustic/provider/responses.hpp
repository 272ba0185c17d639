// responses.hpp - OpenAI Responses, whose answers are lists of items: messages, calls, reasoning.
// The conversation is kept here and not at the server: what the server wants back (encrypted
// reasoning, phases of messages) is kept with the parts and sent again as it came.
// Source: OpenAI API reference, "Responses", 2026.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/json.hpp>
#include <rustic/provider/answer_reader.hpp>
#include <rustic/provider/translator.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::provider {

// How a server differs. The members of the same names in the configuration replace these.
struct responses_options {
  std::string reasoning_summary = "auto";  // or concise, detailed, none
  bool store = false;                      // whether the server keeps the conversation as well
  bool counts = false;                     // it has /responses/input_tokens
};

// Throws failure(INVALID_ARGUMENT) that names the instance and the member.
responses_options read_responses_options(std::string_view name, const json::object& members,
                                         responses_options defaults = {});

// The request for base_url + /responses, or + /responses/input_tokens to count. `refused` holds
// members that the server has not taken for this model. Throws failure(INVALID_ARGUMENT) that names
// the member which cannot be sent.
outgoing build_responses_request(const instance& where, const responses_options& how,
                                 const json::object& generate,
                                 const std::vector<std::string>& refused = {},
                                 bool counting = false);

// The answer: a stream of events about items, or one response.
class responses_reader : public answer_reader {
 public:
  responses_reader(const subject& about, std::uint64_t id_seed) : answer_reader(about, id_seed) {}

 protected:
  void event(std::string_view name, const json::value& data) override;
  void whole(const json::value& body) override;
  bool complete() const override { return done_; }
  void closing() override;

 private:
  // An item of the output, known by its place: its id may change from event to event.
  struct item {
    std::int64_t place;
    enum class kind { message, call, reasoning, other } of;
    std::optional<std::size_t> part = {};  // of the answer
    std::vector<std::int64_t> told = {};   // numbers of the pieces whose text has come
    bool refusal = false;                  // what came last was one
    bool arguments = false;                // of a call have come
    bool nameless = false;                 // they came before the call's name
    bool done = false;
  };

  void response_(const json::object& response);
  void finished_(std::string_view type, const json::object& response);
  item* begin_(std::int64_t place, const json::object& content);
  item* at_(const json::object& data, std::string_view type);
  void end_(item& one, const json::object& content);
  void message_(item& one, const json::object& content);
  void reasoning_(item& one, const json::object& content);
  // Text of a piece of an item. `rest` says that it is all of it: nothing when some has come.
  void text_(item& one, std::int64_t piece, std::string_view text, bool rest);
  void refusal_(item& one, std::string_view text, bool rest);
  void arguments_(item& one, std::string_view text, bool rest);
  void keep_(item& one, json::object opaque);
  void usage_(const json::object& usage);

  std::vector<item> items_;
  std::size_t kept_bytes_ = 0;
  bool done_ = false;
};

// A whole provider. Derive from it to change what an API has of its own.
class responses_translator : public translator {
 public:
  responses_translator(instance where, responses_options how)
      : translator(std::move(where)), options_(std::move(how)) {}

  outgoing generate(const json::object& request) override;
  std::unique_ptr<answer_reader> reader(const subject& about, std::uint64_t id_seed) override;
  // Learns which members the server does not take for a model.
  bool reconsider(const refused_attempt& attempt) override;
  std::optional<outgoing> count_tokens(const json::object& request) override;
  outgoing models(std::string_view page) override;
  std::string read_models(const subject& about, std::string_view body,
                          json::array& models) override;
  outgoing embed(const json::object& request) override;
  json::object read_embeddings(const subject& about, std::string_view body,
                               const json::object& request) override;

 private:
  const responses_options options_;
  model_memory learnt_;
};

}  // namespace rustic::provider
