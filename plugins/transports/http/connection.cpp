#include "connection.hpp"

#include <unistd.h>

namespace rustic::http {

connection::connection(event_loop& loop, int fd, std::string key) : fd_(fd), key_(std::move(key)) {
  watch_.emplace(loop, fd);
}

connection::~connection() {
  watch_.reset();
  tls_.reset();
  close(fd_);
}

io_result connection::read(char* to, std::size_t capacity) {
  return tls_ ? tls_->read(to, capacity) : socket_read(fd_, to, capacity);
}

io_result connection::write(const char* from, std::size_t size) {
  return tls_ ? tls_->write(from, size) : socket_write(fd_, from, size);
}

bool connection::quiet() {
  char byte;
  return read(&byte, 1).kind == io_result::want_read;
}

}  // namespace rustic::http
