#include <cstring>
#include <rustic/provider/chat.hpp>
#include <rustic/status.hpp>

namespace rustic::provider {
namespace {

// The first of the members that is a positive number.
std::int64_t first_number(const json::object& object, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (const std::int64_t number = int_or(object, key); number > 0) return number;
  }
  return 0;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

// Little-endian floats in base64. Empty when it is not that.
json::array read_floats(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  unsigned held = 0;
  int bits = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return {};
    held = (held << 6) | static_cast<unsigned>(digit);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>((held >> bits) & 0xFF);
    }
  }
  if (bytes.size() % 4 != 0) return {};
  json::array out;
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      word |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i + k])) << (8 * k);
    }
    float number = 0;
    std::memcpy(&number, &word, 4);
    out.push_back(static_cast<double>(number));
  }
  return out;
}

}  // namespace

void read_model_list(const subject& about, std::string_view body, json::array& models) {
  const json::object answer = read_answer_object(about, body);
  const json::array* list = &array_or_empty(answer, "data");
  if (list->empty()) list = &array_or_empty(answer, "models");
  for (const json::value& value : *list) {
    if (!value.is_object()) continue;
    const json::object& model = value.as_object();
    const std::string_view id = text_or(model, "id", text_or(model, "name"));
    if (id.empty()) continue;
    json::object one{{"id", id}};
    std::int64_t window = first_number(
        model, {"context_window", "context_length", "max_model_len", "max_context_length"});
    const json::object& meta = object_or_empty(model, "meta");
    if (window == 0) window = first_number(meta, {"n_ctx", "n_ctx_train"});
    std::int64_t most = first_number(model, {"max_output_tokens", "max_completion_tokens"});
    if (most == 0) {
      most = first_number(object_or_empty(model, "top_provider"), {"max_completion_tokens"});
    }
    if (window > 0) one["context_window"] = window;
    if (most > 0) one["max_output_tokens"] = most;
    models.push_back(std::move(one));
  }
}

std::string build_embeddings_request(const json::object& request) {
  return json::serialize(json::object{{"model", text_or(request, "model")},
                                      {"input", array_or_empty(request, "inputs")},
                                      {"encoding_format", "float"}});
}

json::object read_embedding_list(const subject& about, std::string_view body, std::size_t inputs) {
  const json::object answer = read_answer_object(about, body);
  const json::array& data = array_or_empty(answer, "data");
  json::array embeddings;
  embeddings.resize(inputs);
  std::size_t found = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (!data[i].is_object()) continue;
    const json::object& one = data[i].as_object();
    const auto place = static_cast<std::size_t>(int_or(one, "index", static_cast<int>(i)));
    const json::value* embedding = find(one, "embedding");
    if (embedding == nullptr || place >= inputs || !embeddings[place].is_null()) continue;
    if (embedding->is_array()) {
      embeddings[place] = *embedding;
    } else if (embedding->is_string()) {
      embeddings[place] = read_floats(embedding->as_string());
    }
    if (embeddings[place].is_array() && !embeddings[place].as_array().empty()) ++found;
  }
  if (found != inputs) {
    throw failure(unreadable_answer(about,
                                    "the server gave " + std::to_string(found) +
                                        " embeddings for " + std::to_string(inputs) + " inputs",
                                    {}));
  }
  const json::object& usage = object_or_empty(answer, "usage");
  json::object out{{"embeddings", std::move(embeddings)}};
  out["usage"] = usage.empty()
                     ? json::value()
                     : json::value(json::object{{"input_tokens", int_or(usage, "prompt_tokens")}});
  return out;
}

}  // namespace rustic::provider
