// questions.hpp - what the plugin asks its host and waits for: the registry.
#pragma once
#include <functional>
#include <mutex>
#include <string_view>

#include "../frame.hpp"

namespace rustic::cell {

// Any thread; one question at a time. Over a socket of its own, so that the answer comes whatever
// the other threads do.
class questions {
 public:
  explicit questions(int socket) : socket_(socket) {}
  questions(const questions&) = delete;
  questions& operator=(const questions&) = delete;

  void list(rai_str pattern, rai_listing listing, void* self);
  rai_status provide(rai_str target, rai_str attributes, std::uint32_t service);
  void withdraw(rai_str target);

 private:
  // `read` gets the answer. False: there was none.
  bool ask(const std::string& question, frame_type expected,
           const std::function<void(frame_reader&)>& read);

  const int socket_;
  std::mutex mutex_;
  frame_buffer buffer_;
};

}  // namespace rustic::cell
