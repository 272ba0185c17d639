// reader.hpp - reads the answers of the Gemini API: events that each hold the new parts, one
// answer, or a list of such events.
#pragma once
#include <cstdint>
#include <optional>
#include <rustic/provider/answer_reader.hpp>
#include <string_view>

#include "partial_arguments.hpp"

namespace rustic::google {

class content_reader : public provider::answer_reader {
 public:
  content_reader(const provider::subject& about, std::uint64_t id_seed)
      : answer_reader(about, id_seed) {}

 protected:
  void event(std::string_view name, const json::value& data) override;
  void whole(const json::value& body) override;
  bool complete() const override { return answer_.raw_finish().has_value(); }
  // Some servers put the reason into every chunk.
  bool complete_when_cut() const override { return complete() && !finish_is_everywhere_; }
  void closing() override;

 private:
  // A call whose arguments come in pieces.
  struct open_call {
    std::size_t part;
    partial_arguments arguments;
  };

  void chunk_(const json::object& chunk);
  void candidate_(const json::object& candidate);
  void part_(const json::object& part);
  void text_(const json::object& part, std::string_view text);
  void call_(const json::object& part, const json::object& call);
  void end_call_();
  void other_(const json::object& part);
  void usage_(const json::object& usage);
  void blocked_(const json::object& feedback);
  void warn_(std::string_view message);

  std::optional<open_call> open_;
  std::optional<std::int64_t> prompt_, tool_prompt_, cached_, candidates_, thoughts_;
  std::string finish_message_;
  std::size_t kept_bytes_ = 0;
  bool told_data_ = false;
  bool begun_ = false;                 // a chunk with a candidate has come
  bool finish_is_everywhere_ = false;  // each of them had a finish reason
};

}  // namespace rustic::google
