#include "frame.hpp"

#include <algorithm>
#include <cstring>

namespace rustic::cell {

frame_writer::frame_writer(std::string& out, frame_type type, std::uint64_t id)
    : out_(out), at_(out.size()) {
  frame_header header;
  header.type = static_cast<std::uint16_t>(type);
  header.id = id;
  out_.append(reinterpret_cast<const char*>(&header), sizeof header);
}

frame_writer& frame_writer::raw(const void* data, std::size_t bytes) {
  const std::size_t used = out_.size() - at_ - sizeof(frame_header);
  fits_ = fits_ && bytes <= frame_bytes_max && used + bytes <= frame_bytes_max;
  if (fits_) out_.append(static_cast<const char*>(data), bytes);
  return *this;
}

frame_writer& frame_writer::text(std::string_view value) {
  fits_ = fits_ && value.size() <= frame_bytes_max;
  u32(fits_ ? static_cast<std::uint32_t>(value.size()) : 0);
  return rest(value);
}

bool frame_writer::end() {
  if (!fits_) {
    out_.resize(at_);
    return false;
  }
  const auto bytes = static_cast<std::uint32_t>(out_.size() - at_ - sizeof(frame_header));
  std::memcpy(out_.data() + at_ + offsetof(frame_header, bytes), &bytes, sizeof bytes);
  return true;
}

template <class Number>
Number frame_reader::number() {
  Number value{};
  good_ = good_ && left_.size() >= sizeof value;
  if (!good_) return value;
  std::memcpy(&value, left_.data(), sizeof value);
  left_.remove_prefix(sizeof value);
  return value;
}
template std::uint16_t frame_reader::number();
template std::uint32_t frame_reader::number();
template std::int32_t frame_reader::number();
template std::uint64_t frame_reader::number();
template std::int64_t frame_reader::number();

std::string_view frame_reader::text() {
  const std::size_t bytes = u32();
  good_ = good_ && left_.size() >= bytes;
  if (!good_) return {};
  const auto out = left_.substr(0, bytes);
  left_.remove_prefix(bytes);
  return out;
}

std::string_view frame_reader::rest() {
  const auto out = good_ ? left_ : std::string_view();
  left_ = {};
  return out;
}

std::span<char> frame_buffer::room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (capacity_ > receive_growth_bytes) {  // what one large frame needed is not kept
      data_.reset();
      capacity_ = 0;
    }
  }
  if (capacity_ - end_ >= receive_bytes) return {data_.get() + end_, capacity_ - end_};
  const std::size_t held = end_ - begin_;
  std::size_t wanted = std::max(capacity_, 2 * receive_bytes);
  if (wanted - held < receive_bytes) wanted = held + std::max(receive_growth_bytes, held / 2);
  if (wanted != capacity_) {
    auto larger = std::make_unique_for_overwrite<char[]>(wanted);
    if (held != 0) std::memcpy(larger.get(), data_.get() + begin_, held);
    data_ = std::move(larger);
    capacity_ = wanted;
  } else if (held != 0) {
    std::memmove(data_.get(), data_.get() + begin_, held);
  }
  begin_ = 0;
  end_ = held;
  return {data_.get() + end_, capacity_ - end_};
}

frame_buffer::found frame_buffer::next(frame& out) {
  if (held() < sizeof(frame_header)) return found::partial;
  frame_header header;
  std::memcpy(&header, data_.get() + begin_, sizeof header);
  if (header.bytes > frame_bytes_max || header.reserved != 0) return found::broken;
  if (held() - sizeof header < header.bytes) return found::partial;
  out.type = static_cast<frame_type>(header.type);
  out.id = header.id;
  out.payload = {data_.get() + begin_ + sizeof header, header.bytes};
  begin_ += sizeof header + header.bytes;
  return found::whole;
}

void put_event(std::string& out, std::uint64_t id, const rai_event& event, bool& fits) {
  frame_writer writer(out, frame_type::event, id);
  writer.u16(event.kind).u16(event.flags).u32(event.index).u64(event.a).u64(event.b);
  fits = writer.rest(view(event.text)).end();
}

bool get_event(std::string_view payload, rai_event& out) {
  frame_reader in(payload);
  out.kind = in.u16();
  out.flags = in.u16();
  out.index = in.u32();
  out.a = in.u64();
  out.b = in.u64();
  const bool good = in.good();
  out.text = str(in.rest());
  return good;
}

void put_request(frame_writer& out, const rai_request& request) {
  out.u32(request.flags).u32(request.revision).u32(request.timeout_ms);
  for (const auto& text :
       {request.target, request.method, request.body, request.data, request.context})
    out.text(view(text));
}

rai_request get_request(frame_reader& in) {
  rai_request out{};
  out.struct_size = sizeof out;
  out.flags = in.u32();
  out.revision = in.u32();
  out.timeout_ms = in.u32();
  for (rai_str* text : {&out.target, &out.method, &out.body, &out.data, &out.context})
    *text = str(in.text());
  return out;
}

}  // namespace rustic::cell
