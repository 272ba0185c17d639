#include "azure.hpp"

#include <rustic/provider/turns.hpp>

namespace rustic::azure {

using namespace rustic::provider;

namespace {

// Whether there is anything behind the host.
bool has_path(std::string_view url) {
  const auto host = url.find("://");
  return host != std::string_view::npos && url.find('/', host + 3) != std::string_view::npos;
}

}  // namespace

std::unique_ptr<translator> make(std::string_view name, const json::object& members) {
  const bool bearer = choice_member(name, members, "auth", {"api_key", "bearer"}) == "bearer";
  instance where = read_instance(
      name, members,
      bearer ? instance_defaults{} : instance_defaults{.key_header = "api-key", .key_prefix = ""});
  const bool responses = choice_member(name, members, "api", {"chat", "responses"}) == "responses";
  std::string version = text_member(name, members, "api_version");
  if (!has_path(where.base_url)) where.base_url += version.empty() ? "/openai/v1" : "/openai";
  if (responses) {
    if (!version.empty()) refuse_member(name, "api_version", "belongs to api = \"chat\" alone");
    auto how = read_responses_options(name, members);
    return std::make_unique<responses_translator>(std::move(where), std::move(how));
  }
  chat_options how;
  how.max_tokens_field = "max_completion_tokens";
  how.unknown_options = {"top_k"};
  how = read_chat_options(name, members, std::move(how));
  if (version.empty()) return std::make_unique<chat_translator>(std::move(where), std::move(how));
  return std::make_unique<versioned_chat>(std::move(where), std::move(how), std::move(version));
}

std::string versioned_chat::query_() const {
  return "?api-version=" + url_segment(version_);
}

outgoing versioned_chat::behind_deployment_(const json::object& request, outgoing sent) const {
  const auto deployment = model_of(request, configured());
  sent.path = "/deployments/" + url_segment(deployment) + sent.path + query_();
  return sent;
}

outgoing versioned_chat::generate(const json::object& request) {
  return behind_deployment_(request, chat_translator::generate(request));
}

outgoing versioned_chat::models(std::string_view) {
  return {.path = "/models" + query_()};
}

outgoing versioned_chat::embed(const json::object& request) {
  return behind_deployment_(request, chat_translator::embed(request));
}

}  // namespace rustic::azure
