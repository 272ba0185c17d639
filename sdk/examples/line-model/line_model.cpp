#include "line_model.hpp"

#include <charconv>

namespace line_model_plugin {
using namespace rustic;

settings settings::read(std::string_view name, const json::object& section) {
  settings out;
  out.name = name;
  out.base_url = require_text(section, "base_url", "provider " + out.name);
  out.api_key = text_or(section, "api_key");
  out.model = text_or(section, "model");
  return out;
}

std::string to_body(const generate_request& request, std::string_view model) {
  json::array messages;
  for (const auto& one : request.messages) {
    std::string text;
    for (const auto& part : one.parts)
      if (part.type == "text") text += part.text.value_or("");
    messages.push_back(json::object{{"role", one.role}, {"text", to_utf8(text)}});
  }
  json::object out{{"model", model}, {"messages", std::move(messages)}};
  if (request.options.max_tokens) out["max_tokens"] = *request.options.max_tokens;
  return json::serialize(out);
}

std::string to_http(const settings& with, std::string_view method, std::string_view path) {
  http_request out;
  out.method = method;
  out.url = with.base_url + std::string(path);
  if (method == "POST") out.headers.push_back({"Content-Type", "application/json", ""});
  // The key itself is known to the transport alone; here it is a reference.
  if (!with.api_key.empty()) out.headers.push_back({"Authorization", "Bearer ", with.api_key});
  return to_text(out);
}

void exchange::head(std::uint64_t http_status, std::string_view text) {
  http_status_ = http_status;
  if (http_status == 200) return;
  const auto all = parse_object(text, "the head of the answer");
  for (const auto& one : array_or_empty(all, "headers")) {
    if (!one.is_array() || one.get_array().size() != 2) continue;
    const auto& [name, value] = std::pair{one.get_array()[0], one.get_array()[1]};
    if (name != "retry-after" || !value.is_string()) continue;
    std::int64_t seconds = 0;
    const std::string_view digits = value.get_string();
    const auto end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, seconds).ptr == end && seconds > 0)
      retry_after_ms_ = std::min(seconds, retry_after_s_max) * 1000;
  }
}

std::string exchange::feed(std::string_view bytes) {
  line_ += bytes;
  if (http_status_ != 200) {
    line_.resize(std::min(line_.size(), error_bytes_max));
    return {};
  }
  std::string fresh;
  std::size_t begin = 0;
  for (auto end = line_.find('\n'); end != std::string::npos; end = line_.find('\n', begin)) {
    const std::string_view text(line_.data() + begin, end - begin);
    begin = end + 1;
    if (text.empty()) continue;
    json::object object;
    try {
      object = parse_object(text, "a line of the answer");
    } catch (const failure& reason) {
      throw failure({status_code::data_loss, "asking " + with_.name + ": " + reason.what(),
                     "is base_url that of a line-model server?", std::nullopt,
                     json::object{{"kind", "malformed"}}});
    }
    fresh += text_or(object, "text");
    if (const auto done = text_or(object, "done"); !done.empty()) finish_reason_ = done;
    usage_.input_tokens = int_or(object, "input_tokens", usage_.input_tokens);
    usage_.output_tokens = int_or(object, "output_tokens", usage_.output_tokens);
  }
  line_.erase(0, begin);
  if (line_.size() > line_bytes_max)
    throw failure(status_code::resource_exhausted, "asking " + with_.name + ": a line is too long");
  text_ += fresh;
  return fresh;
}

std::string exchange::result(const std::optional<error>& cause) {
  if (cause || http_status_ != 200 || finish_reason_.empty()) throw problem(cause);
  generate_result out;
  out.message.role = "assistant";
  out.message.parts.emplace_back().text = text_;
  out.raw_finish_reason = finish_reason_;
  out.finish_reason =
      finish_reason_ == "stop" || finish_reason_ == "length" ? finish_reason_ : "other";
  out.model = model_;
  out.usage = usage_;
  return to_text(out);
}

failure exchange::problem(const std::optional<error>& cause) const {
  error out;
  out.message = "asking " + with_.name + " for " + model_ + ": ";
  std::string kind;
  if (http_status_ == 0 || http_status_ == 200) {
    out = cause.value_or(out);
    kind = http_status_ == 200 ? "stream_cut" : std::string(text_or(
        out.details.is_object() ? out.details.get_object() : json::object(), "kind", "connect"));
    if (!cause) {
      out.code = status_code::unavailable;
      out.message += "the answer ended before it was complete";
      out.hint = "try again";
    }
  } else {
    out.message += "HTTP status " + std::to_string(http_status_);
    if (!line_.empty()) out.message += ", " + to_utf8(line_);
    const auto is = [&](std::uint64_t from, std::uint64_t to, status_code code, const char* what) {
      if (http_status_ < from || http_status_ > to || !kind.empty()) return;
      out.code = code;
      kind = what;
    };
    is(401, 401, status_code::unauthenticated, "bad_key");
    is(403, 403, status_code::permission_denied, "permission");
    is(404, 404, status_code::not_found, "not_found");
    is(429, 429, status_code::resource_exhausted, "rate_limit");
    is(500, 599, status_code::unavailable, "server_error");
    is(0, 999, status_code::invalid_argument, "bad_request");
  }
  json::object details{{"kind", kind}};
  if (!text_.empty()) {
    message partial{"assistant", {}};
    partial.parts.emplace_back().text = text_;
    details["partial"] = to_object(partial);
  }
  out.details = std::move(details);
  if (retry_after_ms_) out.retry_after_ms = retry_after_ms_;
  return failure(out);
}
}  // namespace line_model_plugin
