#include "questions.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace rustic::cell {

bool questions::ask(const std::string& question, frame_type expected,
                    const std::function<void(frame_reader&)>& read) {
  const std::lock_guard lock(mutex_);
  for (std::size_t done = 0; done < question.size();) {
    const auto sent = ::send(socket_, question.data() + done, question.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    done += static_cast<std::size_t>(sent);
  }
  for (frame answer;;) {
    switch (buffer_.next(answer)) {
      case frame_buffer::found::broken:
        return false;
      case frame_buffer::found::whole: {
        if (answer.type != expected) return false;
        frame_reader reader(answer.payload);
        read(reader);
        return reader.good();
      }
      case frame_buffer::found::partial:
        break;
    }
    const auto room = buffer_.room();
    const auto size = ::recv(socket_, room.data(), room.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    buffer_.received(static_cast<std::size_t>(size));
  }
}

void questions::list(rai_str pattern, rai_listing listing, void* self) {
  std::string question;
  if (!frame_writer(question, frame_type::list).text(view(pattern)).end()) return;
  // The listing may ask again: it runs when the answer has been taken.
  std::vector<std::pair<std::string, std::string>> found;
  ask(question, frame_type::listing, [&](frame_reader& in) {
    for (auto left = in.u32(); left > 0 && in.good(); --left) {
      const auto target = in.text();
      found.emplace_back(target, in.text());
    }
  });
  for (const auto& [target, attributes] : found) listing(self, str(target), str(attributes));
}

rai_status questions::provide(rai_str target, rai_str attributes, std::uint32_t service) {
  std::string question;
  if (!frame_writer(question, frame_type::provide)
           .u32(service)
           .text(view(target))
           .text(view(attributes))
           .end())
    return RAI_INVALID_ARGUMENT;
  rai_status status = RAI_UNAVAILABLE;
  ask(question, frame_type::answer, [&](frame_reader& in) { status = in.i32(); });
  return status;
}

void questions::withdraw(rai_str target) {
  std::string question;
  if (!frame_writer(question, frame_type::withdraw).text(view(target)).end()) return;
  ask(question, frame_type::answer, [](frame_reader& in) { in.i32(); });
}

}  // namespace rustic::cell
