#include <rustic/provider/limits.hpp>
#include <rustic/provider/translator.hpp>
#include <rustic/status.hpp>

namespace rustic::provider {
namespace {

[[noreturn]] void no_method(const instance& where, std::string_view method) {
  throw failure(status_code::unimplemented,
                "rustic.provider/" + where.name + ": this API has no " + std::string(method),
                "use another provider for it");
}

std::size_t text_tokens(std::string_view text) {
  // Letters outside ASCII take about one token each.
  std::size_t plain = 0;
  std::size_t wide = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      ++plain;
    } else if (byte >= 0xC0) {
      ++wide;
    }
  }
  return (plain + limits::bytes_per_token - 1) / limits::bytes_per_token + wide;
}

}  // namespace

std::unique_ptr<answer_reader> translator::reader_for(const json::object&, const subject& about,
                                                      std::uint64_t id_seed) {
  return reader(about, id_seed);
}

bool translator::reconsider(const refused_attempt&) {
  return false;
}

outgoing translator::models(std::string_view) {
  no_method(instance_, "list of models");
}

std::string translator::read_models(const subject&, std::string_view, json::array&) {
  return {};
}

outgoing translator::embed(const json::object&) {
  no_method(instance_, "embeddings");
}

json::object translator::read_embeddings(const subject&, std::string_view, const json::object&) {
  return {};
}

std::optional<outgoing> translator::count_tokens(const json::object&) {
  return std::nullopt;
}

std::int64_t translator::read_count(const subject& about, std::string_view body) {
  return int_or(read_answer_object(about, body), "input_tokens");
}

json::object read_answer_object(const subject& about, std::string_view body) {
  boost::system::error_code problem;
  json::value value = json::parse(body, problem);
  if (problem || !value.is_object()) {
    throw failure(unreadable_answer(about, "the server's answer is not a JSON object", body));
  }
  if (const json::value* inside = find(value.as_object(), "error");
      inside != nullptr && (inside->is_object() || inside->is_string())) {
    throw failure(read_stream_error(about, value));
  }
  return std::move(value.as_object());
}

std::string model_memory::get(std::string_view model) const {
  const std::scoped_lock lock(mutex_);
  const auto found = learnt_.find(model);
  return found == learnt_.end() ? std::string{} : found->second;
}

void model_memory::set(std::string_view model, std::string_view learnt) {
  const std::scoped_lock lock(mutex_);
  if (learnt_.size() >= limits::remembered_models_max) learnt_.clear();
  learnt_[std::string(model)] = learnt;
}

std::size_t estimate_tokens(const json::object& generate) {
  std::size_t tokens = limits::tokens_per_message;
  for (const json::value& message : array_or_empty(generate, "messages")) {
    tokens += limits::tokens_per_message;
    if (!message.is_object()) continue;
    for (const json::value& value : array_or_empty(message.as_object(), "parts")) {
      if (!value.is_object()) continue;
      const json::object& part = value.as_object();
      const std::string_view type = text_or(part, "type");
      if (type == "image") {
        tokens += limits::tokens_per_image;
      } else if (type == "file") {
        tokens += text_or(part, "data").size() * 3 / 4 / limits::bytes_per_token;
      } else {
        for (const std::string_view key : {"text", "output", "name", "arguments"}) {
          tokens += text_tokens(text_or(part, key));
        }
      }
    }
  }
  for (const json::value& tool : array_or_empty(generate, "tools")) {
    tokens += limits::tokens_per_message + text_tokens(json::serialize(tool));
  }
  return tokens;
}

}  // namespace rustic::provider
