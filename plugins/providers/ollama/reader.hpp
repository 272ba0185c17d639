// reader.hpp - reads the answers of /api/chat: one JSON object on each line, or one in all.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/provider/answer_reader.hpp>
#include <string_view>

namespace rustic::ollama {

class line_reader : public provider::answer_reader {
 public:
  line_reader(const provider::subject& about, std::uint64_t id_seed)
      : answer_reader(about, id_seed, provider::framing::lines) {}

 protected:
  void event(std::string_view name, const json::value& data) override;
  void whole(const json::value& body) override;
  bool complete() const override { return done_; }
  void closing() override;

 private:
  void message_(const json::object& message);
  void call_(const json::object& call);
  void think_(std::string_view text);

  std::optional<std::size_t> thought_;  // the newest part of reasoning
  bool done_ = false;
};

}  // namespace rustic::ollama
