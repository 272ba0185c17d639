// reader.hpp - reads the answers of the Messages API: a stream of events about blocks, or one
// message.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/provider/answer_reader.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::anthropic {

class messages_reader : public provider::answer_reader {
 public:
  messages_reader(const provider::subject& about, std::uint64_t id_seed)
      : answer_reader(about, id_seed) {}

 protected:
  void event(std::string_view name, const json::value& data) override;
  void whole(const json::value& body) override;
  bool complete() const override { return done_; }
  void closing() override;

 private:
  // A block of the message that is being received.
  struct block {
    std::int64_t index;
    std::size_t part;  // of the answer
    enum class kind { text, thinking, call, other } of;
    std::string signature;
    std::string input;     // of a call of the server's own tools
    json::object content;  // of what is kept as it is
    json::array citations;
    bool fragments = false;  // arguments have come
    bool closed = false;
  };

  void message_(const json::object& message);
  void start_(std::int64_t index, const json::object& content);
  void delta_(const json::object& data);
  void change_(block& one, const json::object& delta);
  void close_(block& one);
  void stop_reason_(const json::object& from);
  void usage_(const json::object& usage);
  void count_(std::size_t bytes);
  block* find_(const json::object& data);

  std::vector<block> blocks_;
  std::optional<std::int64_t> input_, cache_read_, cache_write_, output_, reasoning_;
  std::size_t kept_bytes_ = 0;
  bool done_ = false;
};

}  // namespace rustic::anthropic
