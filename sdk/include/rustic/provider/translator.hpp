// translator.hpp - how to write a provider over HTTP.
//
// A provider is a class that derives from translator: it says what is sent for each method of
// rustic.provider and how the answers are read. It has no sockets, threads or coroutines; all of
// that is done once, in service.hpp: calling rustic.http, back-pressure, cancelling, paging, the
// first model as a default, warnings, errors with their kinds. The least that a provider needs:
//
//   class mine : public translator {
//    public:
//     mine(std::string_view name, const json::object& members)
//         : translator(read_instance(name, members, {.base_url = "https://api.mine.example/v1"}))
//         {}
//     outgoing generate(const json::object& request) override;    // path and body
//     std::unique_ptr<answer_reader> reader(const subject&, std::uint64_t id_seed) override;
//   };
//   RUSTIC_PLUGIN(rustic::provider::plugin_of<mine>)
//
// and a class that derives from answer_reader. The manifest provides {"interface":
// "rustic.provider/1", "name": "*", "type": "mine", "instances": "providers"} and requires
// "rustic.http/default". One that speaks Chat Completions derives from chat_translator (chat.hpp),
// one that speaks OpenAI Responses from responses_translator (responses.hpp).
//
// Threads: one translator serves all calls of its instance, several at once: const, or guarded.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <rustic/json.hpp>
#include <rustic/provider/answer_reader.hpp>
#include <rustic/provider/errors.hpp>
#include <rustic/provider/instance.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::provider {

// What is sent to the server.
struct outgoing {
  std::string path;         // behind base_url; a whole URL when it begins with http
  std::string body = {};    // JSON; empty: GET
  std::string method = {};  // empty: POST when there is a body, else GET
  std::string accept = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};  // beside those of the instance
  std::vector<std::string> warnings = {};  // what was left out, for the person who asked
};

// An attempt to generate that the server refused before it answered.
struct refused_attempt {
  const json::object& request;  // of the caller, the model filled in
  const outgoing& sent;
  int http_status;
  std::string_view body;
  int attempt;  // 1: the first
};

class translator {
 public:
  explicit translator(instance configured) : instance_(std::move(configured)) {}
  virtual ~translator() = default;
  translator(const translator&) = delete;
  translator& operator=(const translator&) = delete;

  const instance& configured() const { return instance_; }

  // `request` is that of docs/interfaces/provider.md with "model" filled in. Throws
  // failure(INVALID_ARGUMENT) that names the member which cannot be sent.
  virtual outgoing generate(const json::object& request) = 0;
  virtual std::unique_ptr<answer_reader> reader(const subject& about, std::uint64_t id_seed) = 0;
  // The same for a translator whose readers depend on what was asked.
  virtual std::unique_ptr<answer_reader> reader_for(const json::object& request,
                                                    const subject& about, std::uint64_t id_seed);
  // Whether the request should be built and sent anew, because what the server refused has been
  // understood and will be left out or named differently.
  virtual bool reconsider(const refused_attempt& attempt);

  // `page` is empty at first, then what read_models gave. Throws failure(UNIMPLEMENTED) here.
  virtual outgoing models(std::string_view page);
  // Adds {"id", "context_window"?, "max_output_tokens"?} to `models` for each; the result is the
  // next page, empty at the end. Throws failure.
  virtual std::string read_models(const subject& about, std::string_view body, json::array& models);

  // `request` is {"model", "inputs"}, checked. Throws failure(UNIMPLEMENTED) here.
  virtual outgoing embed(const json::object& request);
  // The body of the answer becomes {"embeddings", "usage"}.
  virtual json::object read_embeddings(const subject& about, std::string_view body,
                                       const json::object& request);

  // Nothing: the tokens are estimated. The same happens when the server does not know the path.
  virtual std::optional<outgoing> count_tokens(const json::object& request);
  // The number of input tokens. Throws failure.
  virtual std::int64_t read_count(const subject& about, std::string_view body);

  // Which kind of error an answer is, for APIs whose words the table in errors.hpp does not know.
  virtual classifier classify() const { return classify_error; }
  // What to do when nobody listens at base_url; empty: what the transport says.
  virtual std::string_view unreachable_hint() const { return {}; }

 private:
  const instance instance_;
};

// The object of an answer in one piece; an error object in it is thrown as what it means.
json::object read_answer_object(const subject& about, std::string_view body);

// A guess at the tokens that the request's messages and tools take.
std::size_t estimate_tokens(const json::object& generate);

// What has been learnt about the models of a server, bounded. Any thread.
class model_memory {
 public:
  std::string get(std::string_view model) const;
  void set(std::string_view model, std::string_view learnt);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> learnt_;
};

}  // namespace rustic::provider
