#include <rustic/provider/errors.hpp>

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>

#include <rustic/provider/limits.hpp>

namespace rustic::provider {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

std::string scalar(const json::value* value) {
  if (value == nullptr) return {};
  if (value->is_string()) return std::string(value->as_string());
  if (value->is_int64()) return std::to_string(value->as_int64());
  return {};
}

int as_http_status(std::string_view code) {
  int status = 0;
  const auto [end, problem] = std::from_chars(code.data(), code.data() + code.size(), status);
  const bool whole = problem == std::errc{} && end == code.data() + code.size();
  return whole && status >= 400 && status <= 599 ? status : 0;
}

void read_object(const json::object& object, parsed_error& out) {
  if (out.message.empty()) out.message = scalar(find(object, "message"));
  if (out.type.empty()) out.type = scalar(find(object, "type"));
  if (out.code.empty()) out.code = scalar(find(object, "code"));
  if (out.type.empty()) out.type = scalar(find(object, "status"));
  if (out.param.empty()) out.param = scalar(find(object, "param"));
  for (const std::string_view key : {"status_code", "code", "status"}) {
    if (out.http_status == 0) out.http_status = as_http_status(scalar(find(object, key)));
  }
  // Anthropic's finer word.
  if (out.code.empty()) out.code = text_or(object_or_empty(object, "details"), "error_code");
  // OpenRouter keeps the words of the server behind it here.
  const json::object& metadata = object_or_empty(object, "metadata");
  if (const std::string_view raw = text_or(metadata, "raw"); !raw.empty()) {
    out.message += ": " + std::string(cut_utf8(raw, limits::error_message_bytes_max));
  }
  for (const json::value& detail : array_or_empty(object, "details")) {
    if (!detail.is_object()) continue;
    const json::object& told = detail.as_object();
    if (const auto reason = text_or(told, "reason"); !reason.empty()) {
      out.reason.append(out.reason.empty() ? "" : " ").append(reason);
    }
    for (const json::value& violation : array_or_empty(told, "violations")) {
      if (!violation.is_object()) continue;
      out.reason.append(" ").append(text_or(violation.as_object(), "quotaId"));
    }
    std::string_view delay = text_or(told, "retryDelay");
    if (delay.ends_with('s')) delay.remove_suffix(1);
    if (!delay.empty()) out.retry_after_ms = std::max<std::int64_t>(retry_after_ms(delay, 0), 0);
  }
}

// What FastAPI says of a request: {"loc": ["body", "seed"], "msg": "Extra inputs are not
// permitted"}.
std::string detail_text(const json::value& detail) {
  if (detail.is_string()) return std::string(detail.as_string());
  if (!detail.is_array()) return json::serialize(detail);
  std::string out;
  for (const json::value& value : detail.as_array()) {
    if (!value.is_object() || out.size() > limits::error_message_bytes_max) continue;
    const json::object& one = value.as_object();
    std::string place;
    for (const json::value& step : array_or_empty(one, "loc")) {
      if (step == "body") continue;
      place.append(place.empty() ? "" : ".").append(scalar(&step));
    }
    out.append(out.empty() ? "" : "; ").append(place).append(place.empty() ? "" : ": ");
    out += text_or(one, "msg", "bad request");
  }
  return out.empty() ? json::serialize(detail) : out;
}

void read_value(const json::value& value, parsed_error& out) {
  if (value.is_array() && !value.as_array().empty()) {
    read_value(value.as_array().front(), out);
    return;
  }
  if (value.is_string()) {
    out.message = value.as_string();
    return;
  }
  if (!value.is_object()) return;
  const json::object& object = value.as_object();
  const json::value* inner = find(object, "error");
  if (inner != nullptr && inner->is_object()) {
    read_object(inner->as_object(), out);
  } else if (inner != nullptr && inner->is_string()) {
    out.message = inner->as_string();
  } else if (inner != nullptr && inner->is_array() && !inner->as_array().empty()) {
    read_value(inner->as_array().front(), out);
  }
  if (const json::value* detail = find(object, "detail"); detail && out.message.empty()) {
    out.message = detail_text(*detail);
  }
  // Mistral puts such details into the message.
  if (const json::value* message = find(object, "message");
      message && message->is_object() && out.message.empty()) {
    const json::value* detail = find(message->as_object(), "detail");
    out.message = detail_text(detail == nullptr ? *message : *detail);
  }
  read_object(object, out);
}

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string describe_html(std::string_view body) {
  const std::string low = lower(body.substr(0, 64 << 10));
  std::string title;
  if (const std::size_t at = low.find("<title>"); at != std::string::npos) {
    const std::size_t begin = at + 7;
    title = trim(body.substr(begin, std::min(low.find("</title>", begin), low.size()) - begin));
  }
  if (title.empty()) return "an HTML page instead of JSON";
  return "an HTML page titled '" + std::string(cut_utf8(title, 200)) + "' instead of JSON";
}

constexpr std::string_view hint_key =
    "check api_key of this provider and that the key belongs to this base_url";
constexpr std::string_view hint_context =
    "shorten or compact the conversation, or choose a model with a larger context window";
constexpr std::string_view hint_request = "change the request as the server says";
constexpr std::string_view hint_base_url =
    "check base_url: it must end where the paths of the API begin, often in /v1";
constexpr std::string_view hint_quota =
    "the account has no money or quota left: waiting does not help";
constexpr std::string_view hint_wait = "wait, or ask for less at a time";
constexpr std::string_view hint_later = "try again later or use another provider";

template <std::size_t n>
bool any_of(const std::string& text, const std::array<std::string_view, n>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return contains(text, word); });
}

bool says_context(const std::string& all) {
  constexpr std::array<std::string_view, 12> words{"context_length_exceeded",
                                                   "maximum context length",
                                                   "exceed_context_size",
                                                   "prompt is too long",
                                                   "prompt too long",
                                                   "context window",
                                                   "context size",
                                                   "input token count",
                                                   "too many tokens",
                                                   "context length",
                                                   "reduce the length of the",
                                                   "request too large"};
  return any_of(all, words);
}

bool says_bad_key(const std::string& all) {
  constexpr std::array<std::string_view, 8> words{
      "invalid_api_key",   "api_key_invalid",      "incorrect api key", "invalid api key",
      "api key not valid", "authentication_error", "unauthorized",      "no auth credentials"};
  return any_of(all, words);
}

bool says_quota(const std::string& all) {
  constexpr std::array<std::string_view, 9> words{"insufficient_quota",
                                                  "exceeded your current quota",
                                                  "billing",
                                                  "insufficient balance",
                                                  "insufficient_balance",
                                                  "credit",
                                                  "enforced_spend_limit",
                                                  "perday",
                                                  "payment"};
  return any_of(all, words);
}

bool says_no_model(const std::string& all) {
  constexpr std::array<std::string_view, 5> codes{
      "model_not_found", "deploymentnotfound", "no such model", "invalid_model", "unknown model"};
  const bool missing = contains(all, "not found") || contains(all, "does not exist");
  return any_of(all, codes) || (missing && (contains(all, "model") || contains(all, "deployment")));
}

bool says_filtered(const std::string& code) {
  constexpr std::array<std::string_view, 4> codes{"content_filter", "content_policy_violation",
                                                  "invalid_prompt", "bio_policy"};
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

bool says_not_supported(const std::string& all) {
  constexpr std::array<std::string_view, 3> words{"requires --jinja", "not supported",
                                                  "not_supported_error"};
  return any_of(all, words);
}

const std::string* header(const header_list& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::int64_t unix_now_s() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

// When the limit that is used up is filled again, for servers that say it in headers of their own.
std::optional<std::int64_t> reset_ms(const header_list& headers) {
  constexpr std::string_view middle = "-remaining";
  std::optional<std::int64_t> longest;
  for (const auto& [name, left] : headers) {
    if (left != "0" || name.find("ratelimit-") == std::string::npos) continue;
    const std::size_t at = name.find(middle);
    if (at == std::string::npos) continue;
    std::string reset = name;
    reset.replace(at, middle.size(), "-reset");
    const std::string* value = header(headers, reset);
    if (value == nullptr) continue;
    const std::int64_t ms = reset_after_ms(*value, unix_now_s());
    if (ms > 0) longest = std::max(longest.value_or(0), ms);
  }
  return longest;
}

std::optional<std::int64_t> wait_ms(const header_list& headers, const parsed_error& parsed) {
  if (const std::string* text = header(headers, "retry-after-ms")) {
    double ms = 0;
    const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), ms);
    // Zero was seen beside a Retry-After of one second: it does not mean "at once".
    if (problem == std::errc{} && ms > 0 && ms <= double(limits::retry_after_ms_max)) {
      return static_cast<std::int64_t>(std::ceil(ms));
    }
  }
  if (const std::string* text = header(headers, "retry-after")) {
    const std::int64_t ms = retry_after_ms(*text, unix_now_s());
    if (ms > 0) return ms;
  }
  if (parsed.retry_after_ms > 0) return parsed.retry_after_ms;
  return reset_ms(headers);
}

std::string opening(const subject& about) {
  std::string out(about.operation);
  out.append(" with provider '").append(about.instance).append("'");
  if (!about.model.empty()) out.append(", model '").append(about.model).append("'");
  out.append(" (").append(about.base_url).append("): ");
  return out;
}

error make_error(const subject& about, int status, const parsed_error& parsed,
                 const header_list& headers, std::string_view how) {
  const verdict found = about.classify(status, parsed);
  error out;
  out.code = found.code;
  out.hint = found.hint;
  out.message = opening(about);
  out.message += how;
  if (!parsed.message.empty()) {
    out.message += ": ";
    out.message += redact_keys(cut_utf8(parsed.message, limits::error_message_bytes_max));
  }
  json::object details{{"kind", found.kind}};
  if (status != 0) details["http_status"] = status;
  if (!parsed.code.empty()) details["code"] = redact_keys(parsed.code);
  if (!parsed.type.empty()) details["type"] = redact_keys(parsed.type);
  if (!parsed.param.empty()) details["param"] = redact_keys(parsed.param);
  for (const std::string_view name : {"x-request-id", "request-id", "apim-request-id"}) {
    if (const std::string* id = header(headers, name)) {
      details["request_id"] = *id;
      break;
    }
  }
  if (const std::string* again = header(headers, "x-should-retry");
      again != nullptr && (*again == "true" || *again == "false")) {
    details["should_retry"] = *again == "true";
  }
  out.details = std::move(details);
  if (found.code == status_code::unavailable || found.kind == "rate_limit") {
    out.retry_after_ms = wait_ms(headers, parsed);
  }
  return out;
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Whether the member is named as a word of its own, as it is or in the form topP.
bool names(std::string_view message, std::string_view member) {
  const auto bare = [](std::string_view text) {
    std::string out = lower(text);
    out.erase(std::remove(out.begin(), out.end(), '_'), out.end());
    return out;
  };
  const std::string text = bare(message);
  const std::string word = bare(member);
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    const bool begins = at == 0 || !is_letter_or_digit(text[at - 1]);
    if (begins && (end == text.size() || !is_letter_or_digit(text[end]))) return true;
  }
  return false;
}

bool looks_like_key(std::string_view word) {
  constexpr std::array<std::string_view, 12> prefixes{
      "sk-", "sk_", "pk-", "rk-", "gsk_", "xai-", "AIza", "hf_", "key-", "or-", "pplx-", "nvapi-"};
  if (contains(word, "**")) return true;
  return word.size() >= 10 && std::any_of(prefixes.begin(), prefixes.end(),
                                          [&](auto prefix) { return word.starts_with(prefix); });
}

}  // namespace

parsed_error parse_error(std::string_view body) {
  parsed_error out;
  body = trim(body);
  if (body.empty()) return out;
  if (body.front() == '<') {
    out.message = describe_html(body);
    return out;
  }
  boost::system::error_code problem;
  const json::value value = json::parse(to_utf8(body), problem);
  if (problem) {
    out.message = to_utf8(cut_utf8(body, limits::error_message_bytes_max));
  } else {
    read_value(value, out);
    if (out.message.empty()) out.message = cut_utf8(body, limits::error_message_bytes_max);
  }
  return out;
}

parsed_error parse_error(const json::value& body) {
  parsed_error out;
  read_value(body, out);
  return out;
}

verdict classify_error(int status, const parsed_error& parsed) {
  const std::string code = lower(parsed.code);
  const std::string all = code + " " + lower(parsed.type) + " " + lower(parsed.message);
  if (status == 401) return {status_code::unauthenticated, "bad_key", hint_key};
  // A request that is larger than what a minute allows will never fit.
  const bool limited = status == 429 || status == 413 || code == "rate_limit_exceeded";
  if (limited && contains(all, "request too large")) {
    return {status_code::invalid_argument, "context_length", hint_context};
  }
  // Servers advertise a larger plan beside a limit of a minute: the code tells them apart.
  const bool of_a_minute = code == "rate_limit_exceeded";
  if (status == 402 || code == "insufficient_quota" ||
      (status == 429 && !of_a_minute && (says_quota(all) || code == "1113"))) {
    return {status_code::resource_exhausted, "quota", hint_quota};
  }
  if (status == 429 || code == "rate_limit_exceeded") {
    return {status_code::resource_exhausted, "rate_limit", hint_wait};
  }
  if ((status == 400 || status == 403 || status == 0) && says_bad_key(all)) {
    return {status_code::unauthenticated, "bad_key", hint_key};
  }
  if (status == 403 && contains(all, "credits")) {
    return {status_code::resource_exhausted, "quota", hint_quota};
  }
  if (status == 403) {
    return {status_code::permission_denied, "permission",
            "the key is known but may not do this: check the account's rights and region"};
  }
  if ((status == 400 || status == 413 || status == 422 || status == 500 || status == 0) &&
      says_context(all)) {
    return {status_code::invalid_argument, "context_length", hint_context};
  }
  if (status == 404 || (status == 400 && says_no_model(all))) {
    if (says_no_model(all)) {
      return {status_code::not_found, "model_not_found",
              "ask this provider for its models and correct the model's name"};
    }
    return {status_code::not_found, "not_found", hint_base_url};
  }
  if (status == 405) return {status_code::not_found, "not_found", hint_base_url};
  if (says_filtered(code)) {
    return {status_code::permission_denied, "content_filter",
            "the server's content filter refused the prompt: change it"};
  }
  if (status == 503 || status == 529 || code == "overloaded" || contains(all, "overloaded")) {
    return {status_code::unavailable, "overloaded", hint_later};
  }
  if ((status == 500 || status == 501) && says_not_supported(all)) {
    return {status_code::invalid_argument, "bad_request",
            "the server is not set up for this request: change its start options or the request"};
  }
  if (status == 408 || status == 409 || status >= 500) {
    return {status_code::unavailable, "server_error", hint_later};
  }
  if (status >= 400 || contains(all, "invalid_request_error")) {
    return {status_code::invalid_argument, "bad_request", hint_request};
  }
  if (status >= 300) {
    return {status_code::invalid_argument, "bad_request",
            "the server redirects: put the final address into base_url"};
  }
  return {status_code::unavailable, "server_error", hint_later};
}

std::string redact_keys(std::string_view text) {
  constexpr std::string_view separators = " \t\r\n\"'`,;()<>{}[]=:";
  std::string out;
  std::size_t at = 0;
  bool after_bearer = false;
  while (at < text.size()) {
    const std::size_t begin = text.find_first_not_of(separators, at);
    if (begin == std::string_view::npos) break;
    out.append(text, at, begin - at);
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    out += after_bearer || looks_like_key(word) ? "[redacted]" : word;
    after_bearer = word == "Bearer" || word == "bearer";
    at = end;
  }
  if (at < text.size()) out.append(text, at);
  return out;
}

std::int64_t retry_after_ms(std::string_view value, std::int64_t now_s) {
  value = trim(value);
  double seconds = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (problem == std::errc{} && end == value.data() + value.size()) {
    if (!(seconds >= 0)) return -1;
    return static_cast<std::int64_t>(
        std::ceil(std::min(seconds * 1000, double(limits::retry_after_ms_max))));
  }
  const std::string text(value);
  tm parts{};
  const char* stopped = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (stopped == nullptr || *stopped != '\0') return -1;
  const std::int64_t ms = (static_cast<std::int64_t>(timegm(&parts)) - now_s) * 1000;
  return std::clamp<std::int64_t>(ms, 0, limits::retry_after_ms_max);
}

std::int64_t reset_after_ms(std::string_view value, std::int64_t now_s) {
  value = trim(value);
  const std::string text(value);
  tm parts{};
  if (const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts); rest != nullptr) {
    const std::int64_t ms = (static_cast<std::int64_t>(timegm(&parts)) - now_s) * 1000;
    return std::clamp<std::int64_t>(ms, 0, limits::retry_after_ms_max);
  }
  if (const std::int64_t ms = retry_after_ms(value, now_s); ms >= 0) return ms;
  // 2m59.56s, 130ms
  double total = 0;
  while (!value.empty()) {
    double number = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (problem != std::errc{} || !(number >= 0)) return -1;
    value.remove_prefix(static_cast<std::size_t>(end - value.data()));
    const std::size_t size = std::min(value.find_first_of("0123456789."), value.size());
    const std::string_view unit = value.substr(0, size);
    value.remove_prefix(size);
    if (unit == "ms") {
      total += number;
    } else if (unit == "s") {
      total += number * 1'000;
    } else if (unit == "m") {
      total += number * 60'000;
    } else if (unit == "h") {
      total += number * 3'600'000;
    } else {
      return -1;
    }
  }
  return static_cast<std::int64_t>(std::ceil(std::min(total, double(limits::retry_after_ms_max))));
}

header_list read_headers(std::string_view head_text) {
  header_list out;
  boost::system::error_code problem;
  const json::value head = json::parse(head_text, problem);
  if (problem || !head.is_object()) return out;
  for (const json::value& pair : array_or_empty(head.as_object(), "headers")) {
    if (!pair.is_array() || pair.as_array().size() != 2) continue;
    const json::value& key = pair.as_array()[0];
    const json::value& value = pair.as_array()[1];
    if (key.is_string() && value.is_string()) out.emplace_back(key.as_string(), value.as_string());
  }
  return out;
}

error read_http_error(const subject& about, int http_status, const header_list& headers,
                      std::string_view body) {
  return make_error(about, http_status, parse_error(body), headers,
                    "the server answered HTTP " + std::to_string(http_status));
}

error read_stream_error(const subject& about, const json::value& body) {
  parsed_error parsed = parse_error(body);
  if (parsed.message.empty()) {
    parsed.message = cut_utf8(json::serialize(body), limits::error_message_bytes_max);
  }
  return make_error(about, parsed.http_status, parsed, {},
                    "the server broke its answer off with an error");
}

error read_transport_error(const subject& about, error transport) {
  transport.message = opening(about) + transport.message;
  if (!about.unreachable_hint.empty() && transport.details.is_object()) {
    const std::string_view kind = text_or(transport.details.as_object(), "kind");
    if (kind == "connect" || kind == "dns") transport.hint = about.unreachable_hint;
  }
  return transport;
}

error unreadable_answer(const subject& about, std::string_view why, std::string_view body) {
  error out;
  out.code = status_code::data_loss;
  out.message = opening(about);
  body = trim(body);
  if (!body.empty() && body.front() == '<') {
    out.message += "the server answered with " + describe_html(body);
    out.hint = "a proxy or a web page answers at base_url: check the address and the network";
  } else {
    out.message += why;
    if (!body.empty()) {
      out.message += ": ";
      out.message += redact_keys(to_utf8(cut_utf8(body, 200)));
    }
    out.hint = "check that base_url is a server of this provider's type, then try again";
  }
  out.details = json::object{{"kind", "malformed"}};
  return out;
}

error too_large_answer(const subject& about) {
  error out = unreadable_answer(about, "the server's answer is larger than allowed");
  out.code = status_code::resource_exhausted;
  out.hint = "ask for a shorter answer";
  out.details = json::object{{"kind", "answer_too_large"}};
  return out;
}

bool refuses_member(int http_status, std::string_view body, std::string_view field) {
  if (http_status != 400 && http_status != 422) return false;
  const parsed_error parsed = parse_error(body);
  if (!parsed.param.empty() && parsed.param != field) return false;
  if (parsed.code == "unsupported_parameter" || parsed.code == "unknown_parameter") {
    if (!parsed.param.empty()) return true;
  }
  constexpr std::array<std::string_view, 7> words{
      "upported",    "support parameter", "nrecognized", "not permitted",
      "nknown name", "nknown parameter",  "Use '"};
  return (!parsed.param.empty() || names(parsed.message, field)) && any_of(parsed.message, words);
}

}  // namespace rustic::provider
