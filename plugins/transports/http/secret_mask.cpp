#include "secret_mask.hpp"

#include <algorithm>
#include <utility>

#include "limits.hpp"

namespace rustic::http {

void secret_mask::hide(std::string secret) {
  if (secret.size() >= limits::hidden_secret_bytes_min) secrets_.push_back(std::move(secret));
}

// How much of the end of `text` is the beginning of a secret.
std::size_t secret_mask::begun(std::string_view text) const {
  std::size_t longest = 0;
  for (const std::string& secret : secrets_) {
    const std::string_view whole = secret;
    for (std::size_t n = std::min(whole.size() - 1, text.size()); n > longest; --n)
      if (text.ends_with(whole.substr(0, n))) longest = n;
  }
  return longest;
}

std::string_view secret_mask::pass(std::string_view piece) {
  if (!on_) return piece;
  text_ = std::exchange(held_, {});
  text_ += piece;
  for (const std::string& secret : secrets_)
    for (auto at = text_.find(secret); at != std::string::npos; at = text_.find(secret, at))
      std::fill_n(text_.begin() + static_cast<std::ptrdiff_t>(at), secret.size(), '*');
  const std::size_t kept = begun(text_);
  held_ = text_.substr(text_.size() - kept);
  text_.resize(text_.size() - kept);
  return text_;
}

std::string secret_mask::rest() {
  return std::exchange(held_, {});
}

}  // namespace rustic::http
