// message_text.hpp - what messages.search looks at: the readable text inside a message's parts.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace rustic::storage {

// One query, ready to be matched against many messages. Case is ignored for Latin, Greek and
// Cyrillic letters. Threads: const use from any.
class text_query {
 public:
  explicit text_query(std::string_view query);

  // The surroundings of the first match in a message's parts (a checked JSON array), or nothing.
  // Looked at: text, reasoning, output and arguments of tools, names; not encoded data.
  std::optional<std::string> match(std::string_view parts) const;

 private:
  std::optional<std::string> match_object(std::string_view object) const;
  std::optional<std::string> match_text(std::string_view text) const;
  std::string folded_;
  bool plain_;  // only ASCII that JSON never has to escape
};

// Lower case without a change of length in bytes.
std::string fold_case(std::string_view text);
}  // namespace rustic::storage
