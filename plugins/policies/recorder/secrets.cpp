#include "secrets.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace rustic::recorder {
namespace {

struct shape {
  std::string_view begin;
  std::size_t bytes_min;  // of what follows
};

// What a service's keys begin with, as published by the services.
constexpr shape shapes[] = {
    {"sk-", 16},    {"sk_live_", 16}, {"rk_live_", 16},    {"ghp_", 30},   {"gho_", 30},
    {"ghs_", 30},   {"ghu_", 30},     {"github_pat_", 20}, {"glpat-", 16}, {"xoxb-", 16},
    {"xoxp-", 16},  {"xapp-", 16},    {"AKIA", 16},        {"ASIA", 16},   {"AIza", 30},
    {"gsk_", 20},   {"hf_", 20},      {"npm_", 30},        {"xai-", 20},   {"pplx-", 20},
    {"nvapi-", 20}, {"ghr_", 30},     {"dckr_pat_", 20},   {"pypi-", 30},  {"glsa_", 30},
    {"Bearer ", 16}};

constexpr std::string_view key_begin = "-----BEGIN ";
constexpr std::string_view key_end = "-----END ";

bool in_token(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
         c == '_' || c == '.' || c == '~' || c == '+' || c == '/' || c == '=';
}

bool in_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

std::size_t hide_tokens(std::string& text) {
  std::size_t found = 0;
  for (const auto& one : shapes) {
    for (std::size_t at = text.find(one.begin); at != std::string::npos;
         at = text.find(one.begin, at + 1)) {
      // In JSON text the letter before may be that of an escape such as \n.
      const bool escaped = at > 1 && text[at - 2] == '\\';
      if (at > 0 && in_word(text[at - 1]) && !escaped) continue;
      const auto begin = at + one.begin.size();
      std::size_t end = begin;
      while (end < text.size() && in_token(text[end])) ++end;
      if (end - begin < one.bytes_min) continue;
      std::fill(text.begin() + static_cast<std::ptrdiff_t>(begin),
                text.begin() + static_cast<std::ptrdiff_t>(end), 'x');
      ++found;
      at = end - 1;
    }
  }
  return found;
}

std::size_t hide_key_blocks(std::string& text) {
  std::size_t found = 0;
  for (std::size_t at = text.find(key_begin); at != std::string::npos;
       at = text.find(key_begin, at + 1)) {
    const auto title = text.substr(at, 64);
    const auto marks = title.find("PRIVATE KEY-----");
    if (marks == std::string::npos) continue;
    const auto begin = at + marks + std::string_view("PRIVATE KEY-----").size();
    const auto end = std::min(text.find(key_end, begin), text.size());
    for (auto i = begin; i < end; ++i) {
      if (text[i] == '\\' && i + 1 < end)
        ++i;  // an escape of JSON stays one
      else if (in_token(text[i]))
        text[i] = 'x';
    }
    ++found;
    at = end - 1;
  }
  return found;
}
}  // namespace

std::size_t hide_secrets(std::string& text) {
  return hide_tokens(text) + hide_key_blocks(text);
}

std::size_t hide_secrets(exchange& one) {
  std::size_t found = 0;
  auto texts = texts_of(one);
  for (auto& text : texts) found += hide_secrets(text);
  if (found > 0) put_texts(one, texts);
  return found;
}

std::vector<std::string> texts_of(const exchange& one) {
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::string> streams;
  for (const auto& event : one.events) streams[{event.kind, event.index}] += event.text;
  std::vector<std::string> out{one.body};
  for (auto& [stream, text] : streams) out.push_back(std::move(text));
  return out;
}

void put_texts(exchange& one, const std::vector<std::string>& texts) {
  one.body = texts.at(0);
  // In the order of texts_of, which is that of the map.
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::size_t> used;
  for (const auto& event : one.events) used[{event.kind, event.index}] = 0;
  std::map<std::pair<std::uint16_t, std::uint32_t>, std::size_t> places;
  for (const auto& [stream, at] : used) places.emplace(stream, places.size() + 1);
  for (auto& event : one.events) {
    const std::pair stream{event.kind, event.index};
    auto& at = used[stream];
    event.text = texts.at(places[stream]).substr(at, event.text.size());
    at += event.text.size();
  }
}
}  // namespace rustic::recorder
