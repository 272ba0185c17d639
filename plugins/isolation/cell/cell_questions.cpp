// What the plugin asks and waits for: the registry. Answered by the thread of class cell.
#include <sys/socket.h>

#include <cerrno>

#include "cell.hpp"

namespace rustic::cell {

void cell::read_questions() {
  if (!unsent_answer_.empty()) return send_answer();
  const auto room = questions_.room();
  const auto size = ::recv(child_->questions.get(), room.data(), room.size(), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return child_->questions.reset();
  questions_.received(static_cast<std::size_t>(size));
  for (frame next;;) {
    const auto found = questions_.next(next);
    if (found == frame_buffer::found::partial) return;
    // One at a time: whoever asks again before the answer is no child of ours.
    if (found == frame_buffer::found::broken || !unsent_answer_.empty() ||
        !answer(next, unsent_answer_)) {
      child_->questions.reset();
      return kill_for("it asked something that is no question");
    }
    send_answer();
  }
}

void cell::send_answer() {
  while (!unsent_answer_.empty()) {
    const auto sent = ::send(child_->questions.get(), unsent_answer_.data(), unsent_answer_.size(),
                             MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent <= 0) return unsent_answer_.clear();
    unsent_answer_.erase(0, static_cast<std::size_t>(sent));
  }
}

bool cell::answer(const frame& in, std::string& out) {
  frame_reader reader(in.payload);
  switch (in.type) {
    case frame_type::list: {
      const auto pattern = reader.text();
      if (!reader.whole()) return false;
      struct collected {
        std::string text;
        std::uint32_t count = 0;
      } found;
      if (RAI_HAS(&host_, list))
        host_.list(
            host_.self, str(pattern),
            [](void* self, rai_str target, rai_str attributes) {
              auto& to = *static_cast<collected*>(self);
              for (const auto part : {view(target), view(attributes)}) {
                const auto bytes = static_cast<std::uint32_t>(part.size());
                to.text.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
                to.text.append(part);
              }
              ++to.count;
            },
            &found);
      if (!frame_writer(out, frame_type::listing).u32(found.count).rest(found.text).end())
        frame_writer(out, frame_type::listing).u32(0).end();
      return true;
    }
    case frame_type::provide: {
      const auto status = provide(reader);
      frame_writer(out, frame_type::answer).i32(status).end();
      return reader.whole();
    }
    case frame_type::withdraw: {
      const auto target = reader.text();
      if (!reader.whole()) return false;
      const auto found = provided_.find(target);
      if (found != provided_.end() && std::exchange(found->second.bound, false))
        host_.withdraw(host_.self, str(target));
      frame_writer(out, frame_type::answer).i32(RAI_OK).end();
      return true;
    }
    default:
      return false;
  }
}

rai_status cell::provide(frame_reader& in) {
  const auto number = in.u32();
  const auto target = in.text();
  const auto attributes = in.text();
  if (!in.whole() || number < first_provided || number >= first_provided + provided_max)
    return RAI_RESOURCE_EXHAUSTED;
  if (!RAI_HAS(&host_, provide)) return RAI_UNIMPLEMENTED;
  const auto found = provided_.find(target);
  if (found == provided_.end() && provided_.size() >= provided_max) return RAI_RESOURCE_EXHAUSTED;
  auto& one = found == provided_.end() ? provided_[std::string(target)] : found->second;
  // A forwarder lives as long as the cell: calls of an earlier time may still use it.
  if (!one.service) one.service = std::make_unique<forwarder>(*this, number);
  one.service->number.store(number);
  const rai_service service = service_of(*one.service);
  const auto status = host_.provide(host_.self, str(target), str(attributes), &service);
  if (status == RAI_OK) one.bound = true;
  return status;
}

}  // namespace rustic::cell
