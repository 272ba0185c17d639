// Incremental decoder of one HTTP/1.x answer: head, and body without its transfer encoding.
// No socket, no thread: bytes in, head and body out.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rustic::http {

struct response_head {
  int status = 0;
  std::string version;                                       // "1.1" or "1.0"
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  // The first value, or nothing.
  std::string_view header(std::string_view lower_case_name) const;
};

class response_decoder {
 public:
  // bodyless: the answer to a HEAD or CONNECT request.
  explicit response_decoder(bool bodyless);
  ~response_decoder();
  response_decoder(const response_decoder&) = delete;
  response_decoder& operator=(const response_decoder&) = delete;

  enum class result {
    more,    // wants bytes behind those that it has not consumed
    head,    // the head has just become complete; nothing of the body was touched
    done,    // the answer is complete
    failed,  // error() tells
  };

  // Consumes from the front of `input` and appends body bytes to `body`. What is not consumed must
  // come again, with more behind it.
  result feed(std::string_view& input, std::string& body);

  // The connection has been closed. Only done or failed.
  result close();

  bool started() const;  // a byte has come
  const response_head& head() const;
  // After done: the connection may carry another request.
  bool keep_alive() const;
  // failed because the answer was cut off, not because it was malformed.
  bool truncated() const;
  const std::string& error() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace rustic::http
