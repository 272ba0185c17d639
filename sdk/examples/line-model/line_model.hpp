// line_model.hpp - the model API as plain code: requests to text, pieces of an answer to events.
//
//   POST BASE/generate  {"model", "messages": [{"role", "text"}], "max_tokens"?}
//   the answer's body:  {"text": "Hel"}      one object on each line, as the model goes
//                       {"text": "lo"}
//                       {"done": "stop", "input_tokens": 3, "output_tokens": 2}
//   GET  BASE/models    {"models": ["small", "large"]}
#pragma once
#include <optional>
#include <rustic/http.hpp>
#include <rustic/provider.hpp>

namespace line_model_plugin {

inline constexpr std::size_t line_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t error_bytes_max = 4096;  // of what a server says about an error

inline constexpr std::int64_t retry_after_s_max = 24 * 60 * 60;

// One section [providers.NAME] of the configuration.
struct settings {
  std::string name, base_url, api_key, model;
  static settings read(std::string_view name, const rustic::json::object& section);
};

std::string to_body(const rustic::generate_request& request, std::string_view model);
std::string to_http(const settings& with, std::string_view method, std::string_view path);

// The answer to one generate request, fed as it arrives. Threads: one at a time.
class exchange {
 public:
  exchange(const settings& with, std::string model) : with_(with), model_(std::move(model)) {}

  // The status, and {"headers": [[name, value], ...]}.
  void head(std::uint64_t http_status, std::string_view text);
  // Takes bytes of the body, gives the text in them. Throws failure(DATA_LOSS) for what is no line.
  std::string feed(std::string_view bytes);
  // After the end: the result, or failure with what went wrong. `cause` is set when the transport
  // failed.
  std::string result(const std::optional<rustic::error>& cause);

 private:
  rustic::failure problem(const std::optional<rustic::error>& cause) const;

  const settings& with_;
  const std::string model_;
  std::uint64_t http_status_ = 0;
  std::optional<std::int64_t> retry_after_ms_;
  std::string line_;  // the one that is not complete yet; or what the server says about an error
  std::string text_, finish_reason_;
  rustic::token_usage usage_;
};
}  // namespace line_model_plugin
