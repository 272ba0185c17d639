// rustic/provider.hpp - the structs of rustic.provider; docs/interfaces/provider.md says what they
// mean.
#pragma once
#include <rustic/describe.hpp>

namespace rustic {

// One part of a message. `type` tells which members count: text, image, file, tool_call,
// tool_result, reasoning.
struct message_part {
  std::string type = "text";
  std::optional<std::string> text;
  std::optional<std::string> media_type;
  std::optional<std::string> data;  // base64
  std::optional<std::string> url;
  std::optional<std::string> id;
  std::optional<std::string> name;
  std::optional<std::string> arguments;  // as the model wrote them
  std::optional<std::string> output;
  std::optional<bool> is_error;
  std::optional<bool> refusal;
  std::optional<json::value> opaque;  // goes back to the provider as it came
  std::optional<std::string> provider;
};
BOOST_DESCRIBE_STRUCT(message_part, (),
                      (type, text, media_type, data, url, id, name, arguments, output, is_error,
                       refusal, opaque, provider))

struct message {
  std::string role;  // system, user, assistant
  std::vector<message_part> parts;
};
BOOST_DESCRIBE_STRUCT(message, (), (role, parts))

struct offered_function {
  std::string name;
  std::string description;
  json::object parameters;  // JSON Schema
};
BOOST_DESCRIBE_STRUCT(offered_function, (), (name, description, parameters))

struct generate_options {
  std::optional<double> temperature;
  std::optional<std::int64_t> max_tokens;
  std::optional<double> top_p;
  std::optional<std::int64_t> top_k;
  std::optional<std::vector<std::string>> stop_sequences;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<std::int64_t> seed;
  std::optional<std::string> reasoning_effort;
  std::optional<json::value> tool_choice;
  std::optional<bool> parallel_tool_calls;
  std::optional<json::value> response_format;
};
BOOST_DESCRIBE_STRUCT(generate_options, (),
                      (temperature, max_tokens, top_p, top_k, stop_sequences, presence_penalty,
                       frequency_penalty, seed, reasoning_effort, tool_choice, parallel_tool_calls,
                       response_format))

struct generate_request {
  std::optional<std::string> model;
  bool stream = true;
  std::vector<message> messages;
  std::vector<offered_function> tools;
  generate_options options;
};
BOOST_DESCRIBE_STRUCT(generate_request, (), (model, stream, messages, tools, options))

struct token_usage {
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t cache_read_tokens = 0;
  std::int64_t cache_write_tokens = 0;
  std::int64_t reasoning_tokens = 0;
};
BOOST_DESCRIBE_STRUCT(token_usage, (),
                      (input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
                       reasoning_tokens))

struct generate_result {
  rustic::message message;
  std::string finish_reason;  // stop, length, tool_calls, content_filter, other
  std::string raw_finish_reason;
  std::string model;
  std::string id;
  std::optional<token_usage> usage;
};
BOOST_DESCRIBE_STRUCT(generate_result, (),
                      (message, finish_reason, raw_finish_reason, model, id, usage))

struct model_info {
  std::string id;
  std::optional<std::int64_t> context_window;
  std::optional<std::int64_t> max_output_tokens;
};
BOOST_DESCRIBE_STRUCT(model_info, (), (id, context_window, max_output_tokens))

struct models_result {
  std::vector<model_info> models;
};
BOOST_DESCRIBE_STRUCT(models_result, (), (models))

struct count_tokens_result {
  std::int64_t input_tokens = 0;
  bool estimate = false;
};
BOOST_DESCRIBE_STRUCT(count_tokens_result, (), (input_tokens, estimate))
}  // namespace rustic
