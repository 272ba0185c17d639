// line_model.hpp - the model API: what is sent, and how its answers are read.
//
//   POST BASE/generate  {"model", "messages": [{"role", "text"}], "max_tokens"?}
//   the answer's body:  {"text": "Hel"}      one object on each line, as the model goes
//                       {"text": "lo"}
//                       {"done": "stop", "input_tokens": 3, "output_tokens": 2}
//   GET  BASE/models    {"models": ["small", "large"]}
#pragma once
#include <rustic/provider/translator.hpp>

namespace line_model_plugin {
namespace json = rustic::json;
namespace provider = rustic::provider;

// One answer. What it adds to answer_ goes to the caller at once and into the result at the end.
class reader : public provider::answer_reader {
 public:
  reader(const provider::subject& about, std::uint64_t id_seed)
      : answer_reader(about, id_seed, provider::framing::lines) {}

 protected:
  void event(std::string_view name, const json::value& line) override;
  void whole(const json::value& body) override;
  bool complete() const override { return done_; }

 private:
  bool done_ = false;
};

// One section [providers.NAME] of the configuration. Threads: several calls at once.
class translator : public provider::translator {
 public:
  translator(std::string_view name, const json::object& section)
      : provider::translator(provider::read_instance(name, section)) {}

  provider::outgoing generate(const json::object& request) override;
  std::unique_ptr<provider::answer_reader> reader(const provider::subject& about,
                                                  std::uint64_t id_seed) override;
  provider::outgoing models(std::string_view page) override;
  std::string read_models(const provider::subject& about, std::string_view body,
                          json::array& models) override;
};
}  // namespace line_model_plugin
