#include "recording.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "limits.hpp"

namespace rustic::recorder {
namespace {

constexpr std::int64_t format_version = 1;

constexpr std::string_view digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string to_base64(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](std::size_t i) {
      return at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0u;
    };
    const auto group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
    out += digits[(group >> 18) & 63];
    out += digits[(group >> 12) & 63];
    out += at + 1 < bytes.size() ? digits[(group >> 6) & 63] : '=';
    out += at + 2 < bytes.size() ? digits[group & 63] : '=';
  }
  return out;
}

std::string from_base64(std::string_view text) {
  std::string out;
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const auto value = digits.find(c);
    if (value == std::string_view::npos) break;  // padding ends it
    group = (group << 6) | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>((group >> bits) & 0xFF);
    }
  }
  return out;
}

json::value to_json(std::string_view text) {
  if (is_utf8(text)) return json::value(text);
  return json::array{"base64", to_base64(text)};
}

std::string text_from(const json::value& value) {
  if (const auto* text = value.if_string()) return std::string(*text);
  const auto* pair = value.if_array();
  if (pair && pair->size() == 2 && (*pair)[1].is_string())
    return from_base64((*pair)[1].get_string());
  throw failure(status_code::data_loss, "an event's text cannot be read");
}

// 64-bit numbers travel as strings when a JSON number would not hold them.
json::value number(std::uint64_t value) {
  if (value < (1ull << 53)) return json::value(value);
  return json::value(std::to_string(value));
}
std::uint64_t number_from(const json::value& value) {
  if (const auto* text = value.if_string()) return std::stoull(std::string(*text));
  return value.to_number<std::uint64_t>();
}

// Throws unless the first line is that of a recording which this program can read.
void check_head(std::string_view line, const std::string& file) {
  std::int64_t version = 0;
  try {
    version = int_or(parse_object(line, "head"), "rustic_recording");
  } catch (const failure&) {
  }
  if (version == format_version) return;
  if (version > format_version)
    throw failure(status_code::failed_precondition,
                  "reading the recording " + file + ": it has format " + std::to_string(version) +
                      ", and this program reads format " + std::to_string(format_version),
                  "replay it with the version of rustic-ai that made it");
  throw failure(status_code::data_loss,
                "reading the recording " + file + ": it does not begin as a recording does",
                "name a file that --record has made");
}
}  // namespace

std::string places::next(const asked& what) {
  std::string key(what.target);
  key += " " + std::string(what.method);
  if (!what.agent.empty()) key += " agent=" + std::string(what.agent);
  if (!what.session.empty()) key += " session=" + std::string(what.session);
  if (!what.call_id.empty()) key += " call=" + std::string(what.call_id);
  std::scoped_lock lock(mutex_);
  const auto count = ++counts_[key];
  return key + " #" + std::to_string(count);
}

std::string to_line(const exchange& one) {
  json::array events;
  for (const auto& event : one.events)
    events.push_back(json::array{event.kind, event.index, number(event.a), number(event.b),
                                 to_json(event.text)});
  json::object line{{"key", one.key}, {"events", std::move(events)}, {"status", one.status}};
  line["body"] = to_json(one.body);
  return json::serialize(line) + "\n";
}

exchange from_line(std::string_view line) {
  try {
    const auto object = parse_object(line, "exchange");
    exchange out;
    out.key = require_text(object, "key", "exchange");
    out.status = static_cast<std::int32_t>(require_int(object, "status", "exchange"));
    out.body = text_from(object.at("body"));
    for (const auto& value : array_or_empty(object, "events")) {
      const auto& event = value.as_array();
      out.events.push_back({event.at(0).to_number<std::uint16_t>(),
                            event.at(1).to_number<std::uint32_t>(), number_from(event.at(2)),
                            number_from(event.at(3)), text_from(event.at(4))});
    }
    return out;
  } catch (const std::exception& problem) {
    throw failure(status_code::data_loss, problem.what());
  }
}

writer::writer(const std::string& file) : file_(file) {
  descriptor_ = open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (descriptor_ < 0)
    throw failure(errno == EEXIST ? status_code::already_exists : status_code::unavailable,
                  "recording to " + file + ": " + strerror(errno),
                  "name a file that does not exist yet, in a directory that you may write");
  try {
    put("{\"rustic_recording\":" + std::to_string(format_version) + "}\n");
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

writer::~writer() {
  if (descriptor_ >= 0) close(descriptor_);
}

void writer::add(const exchange& one) {
  const auto line = to_line(one);
  std::scoped_lock lock(mutex_);
  if (broken_)
    throw failure(status_code::unavailable,
                  "recording to " + file_ + ": an earlier write left half a line in it");
  if (bytes_ + line.size() > recording_bytes_max)
    throw failure(status_code::resource_exhausted,
                  "recording to " + file_ + ": the file has reached its limit");
  put(line);
}

void writer::put(std::string_view text) {
  std::string_view left = text;
  while (!left.empty()) {
    const auto done = write(descriptor_, left.data(), left.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      const int problem = errno;
      // What comes next must not be glued to half a line.
      if (left.size() < text.size() && ftruncate(descriptor_, static_cast<off_t>(bytes_)) != 0)
        broken_ = true;
      throw failure(problem == ENOSPC || problem == EDQUOT || problem == EFBIG
                        ? status_code::resource_exhausted
                        : status_code::unavailable,
                    "recording to " + file_ + ": " + strerror(problem),
                    "free disk space, or run without --record");
    }
    left.remove_prefix(static_cast<std::size_t>(done));
  }
  bytes_ += text.size();
}

recording::recording(const std::string& file) {
  struct stat status {};
  if (stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    throw failure(status_code::not_found, "reading the recording " + file + ": no such file");
  if (static_cast<std::size_t>(status.st_size) > recording_bytes_max)
    throw failure(status_code::out_of_range, "reading the recording " + file + ": it is too large");
  std::ifstream in(file, std::ios::binary);
  if (!in)
    throw failure(status_code::unavailable,
                  "reading the recording " + file + ": " + strerror(errno));
  std::string line;
  if (!std::getline(in, line))
    throw failure(status_code::data_loss, "reading the recording " + file + ": it is empty");
  check_head(line, file);
  for (std::size_t number = 2; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    if (exchanges_.size() >= exchanges_max)
      throw failure(status_code::out_of_range, "reading the recording " + file +
                                                   ": it has more than " +
                                                   std::to_string(exchanges_max) + " exchanges");
    try {
      auto one = from_line(line);
      auto key = one.key;
      exchanges_.insert_or_assign(std::move(key), std::move(one));
    } catch (const failure& problem) {
      if (in.eof()) {  // no line end: the last write was torn
        torn_ = true;
        break;
      }
      throw failure(status_code::data_loss,
                    "reading the recording " + file + ", line " + std::to_string(number) + ": " +
                        problem.what(),
                    "the file was damaged or edited; take an unchanged copy, or record again");
    }
  }
}

const exchange* recording::find(std::string_view key) const {
  const auto found = exchanges_.find(key);
  return found == exchanges_.end() ? nullptr : &found->second;
}
}  // namespace rustic::recorder
