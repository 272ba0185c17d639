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

// Azure's pages show the address of one call, and people copy it: the version, the deployment and
// the method are taken off it.
void read_address(instance& where, std::string& version) {
  std::string& url = where.base_url;
  bool versioned = false;
  if (const auto query = url.find('?'); query != std::string::npos) {
    constexpr std::string_view key = "api-version=";
    const auto at = url.find(key, query);
    if (at != std::string::npos && version.empty()) {
      version = url.substr(at + key.size(), url.find('&', at) - at - key.size());
      versioned = true;
    }
    url.resize(query);
  }
  for (const std::string_view end : {"/", "/chat/completions", "/responses", "/embeddings", "/"}) {
    if (url.ends_with(end)) url.resize(url.size() - end.size());
  }
  if (versioned && url.ends_with("/v1")) version.clear();  // it has none
  constexpr std::string_view deployments = "/deployments/";
  if (const auto at = url.find(deployments); at != std::string::npos) {
    if (version.empty())
      refuse_member(where.name, "api_version", "is missing, and base_url names a deployment");
    if (where.model.empty()) where.model = url.substr(at + deployments.size());
    url.resize(at);
  }
  if (!has_path(url)) url += version.empty() ? "/openai/v1" : "/openai";
}

}  // namespace

std::unique_ptr<translator> make(std::string_view name, const json::object& members) {
  const bool bearer = choice_member(name, members, "auth", {"api_key", "bearer"}) == "bearer";
  instance where = read_instance(
      name, members,
      bearer ? instance_defaults{} : instance_defaults{.key_header = "api-key", .key_prefix = ""});
  const bool responses = choice_member(name, members, "api", {"chat", "responses"}) == "responses";
  std::string version = text_member(name, members, "api_version");
  read_address(where, version);
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
  // The models of Foundry share one address; the body names the model.
  if (configured().base_url.ends_with("/models")) {
    sent.path += query_();
    return sent;
  }
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
