#include "inflater.hpp"

#include <zlib.h>

#include <algorithm>
#include <new>
#include <string>

namespace rustic::http {
namespace {

constexpr int window_bits_gzip = 15 + 16;
constexpr int window_bits_zlib = 15;
constexpr int window_bits_raw = -15;

// "deflate" means zlib by the standard, but some servers send the raw form.
bool looks_like_zlib(unsigned first, unsigned second) {
  return (first & 0x0f) == 8 && (first * 256 + second) % 31 == 0;
}

}  // namespace

struct inflater::impl {
  explicit impl(content_coding c) : coding(c) {}
  ~impl() {
    if (begun) inflateEnd(&stream);
  }
  content_coding coding;
  z_stream stream{};
  bool begun = false;
  bool any = false;    // a byte has come
  bool ended = false;  // the newest member is whole
  bool ignoring = false;
  std::string held;  // deflate: its first byte, until the second tells the form

  void begin(int window_bits) {
    if (inflateInit2(&stream, window_bits) != Z_OK) throw std::bad_alloc();
    begun = true;
  }
};

content_coding coding_of(std::string_view value) {
  std::string name;
  for (const char c : value) {
    if (c != ' ' && c != '\t') name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  if (name.empty() || name == "identity") return content_coding::identity;
  if (name == "gzip" || name == "x-gzip") return content_coding::gzip;
  if (name == "deflate") return content_coding::deflate;
  return content_coding::unknown;
}

inflater::inflater(content_coding coding) : impl_(std::make_unique<impl>(coding)) {}

inflater::~inflater() = default;

bool inflater::complete() const {
  return !impl_->any || impl_->ended;
}

bool inflater::step(std::string_view& input, char* out, std::size_t capacity, std::size_t& given) {
  impl& s = *impl_;
  given = 0;
  if (!input.empty()) s.any = true;
  std::string joined;
  std::string_view source = input;
  if (!s.begun) {
    if (input.empty()) return true;
    if (s.coding == content_coding::gzip) {
      s.begin(window_bits_gzip);
    } else {
      if (s.held.size() + input.size() < 2) {
        s.held.append(input);
        input = {};
        return true;
      }
      const auto first = static_cast<unsigned char>(s.held.empty() ? input[0] : s.held[0]);
      const auto second = static_cast<unsigned char>(s.held.empty() ? input[1] : input[0]);
      s.begin(looks_like_zlib(first, second) ? window_bits_zlib : window_bits_raw);
      joined = std::move(s.held);
      s.held.clear();
    }
  }
  if (!joined.empty()) {
    // One byte was held back: it goes in alone, and can produce no output.
    s.stream.next_in = reinterpret_cast<Bytef*>(joined.data());
    s.stream.avail_in = static_cast<uInt>(joined.size());
    s.stream.next_out = reinterpret_cast<Bytef*>(out);
    s.stream.avail_out = static_cast<uInt>(std::min<std::size_t>(capacity, 1 << 30));
    const int status = inflate(&s.stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_BUF_ERROR) return false;
  }
  for (;;) {
    if (s.ended && !s.ignoring) {
      if (source.empty()) break;
      // Another gzip member may follow; anything else after the end is padding.
      if (s.coding == content_coding::gzip && static_cast<unsigned char>(source[0]) == 0x1f) {
        inflateReset(&s.stream);
        s.ended = false;
      } else {
        s.ignoring = true;
      }
    }
    if (s.ignoring) {
      source = {};
      break;
    }
    s.stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(source.data()));
    s.stream.avail_in = static_cast<uInt>(std::min<std::size_t>(source.size(), 1 << 30));
    s.stream.next_out = reinterpret_cast<Bytef*>(out + given);
    s.stream.avail_out = static_cast<uInt>(std::min<std::size_t>(capacity - given, 1 << 30));
    const uInt before_in = s.stream.avail_in;
    const uInt before_out = s.stream.avail_out;
    const int status = inflate(&s.stream, Z_NO_FLUSH);
    source.remove_prefix(before_in - s.stream.avail_in);
    given += before_out - s.stream.avail_out;
    if (status == Z_STREAM_END) {
      s.ended = true;
      continue;
    }
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status != Z_OK && status != Z_BUF_ERROR) return false;
    if (given == capacity || source.empty() || status == Z_BUF_ERROR) break;
  }
  input = source;
  return true;
}

}  // namespace rustic::http
