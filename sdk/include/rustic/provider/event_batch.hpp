// event_batch.hpp - the events that one piece of the server's answer gave.
#pragma once
#include <rustic/abi.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rustic::provider {

// Text pieces of one kind that follow each other in one batch are one event: they arrived together,
// and each event costs a way through the kernel.
class event_batch {
 public:
  void add(rai_event_kind kind, std::uint32_t index, std::string_view text) {
    const bool joins =
        kind == RAI_EVENT_TEXT || kind == RAI_EVENT_REASONING || kind == RAI_EVENT_TOOL_ARGS;
    if (joins && !items_.empty() && items_.back().kind == kind && items_.back().index == index) {
      items_.back().size += text.size();
    } else {
      items_.push_back({kind, index, bytes_.size(), text.size()});
    }
    bytes_ += text;
  }

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }

  // Valid until the batch changes.
  rai_event operator[](std::size_t i) const {
    const item& one = items_[i];
    return {static_cast<std::uint16_t>(one.kind), 0, one.index, 0, 0,
            {bytes_.data() + one.begin, one.size}};
  }

  void clear() {
    items_.clear();
    bytes_.clear();
  }

 private:
  struct item {
    rai_event_kind kind;
    std::uint32_t index;
    std::size_t begin;
    std::size_t size;
  };
  std::vector<item> items_;
  std::string bytes_;
};

}  // namespace rustic::provider
