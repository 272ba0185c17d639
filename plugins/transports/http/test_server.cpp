#include "test_server.hpp"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace rustic::http::testing {
namespace {

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

std::string compressed(std::string_view text, int window_bits) {
  z_stream s{};
  deflateInit2(&s, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&s, text.size()) + 64, '\0');
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  s.avail_in = static_cast<uInt>(text.size());
  s.next_out = reinterpret_cast<Bytef*>(out.data());
  s.avail_out = static_cast<uInt>(out.size());
  deflate(&s, Z_FINISH);
  out.resize(s.total_out);
  deflateEnd(&s);
  return out;
}

// OpenSSL writes with write(): a client that has gone must not end the test.
void block_sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

peer::peer(int fd, int number, ssl_ctx_st* tls) : fd_(fd), number_(number) {
  if (tls) tls_failed_ = !accept_tls(tls);
}

peer::~peer() {
  if (ssl_) SSL_free(ssl_);
}

bool peer::resumed() const {
  return ssl_ && SSL_session_reused(ssl_) == 1;
}

bool peer::accept_tls(ssl_ctx_st* tls) {
  ssl_ = SSL_new(tls);
  SSL_set_fd(ssl_, fd_);
  return SSL_accept(ssl_) == 1;
}

std::string peer::receive() {
  if (tls_failed_) return {};
  char buffer[65536];
  const auto n = ssl_ ? SSL_read(ssl_, buffer, sizeof buffer)
                      : static_cast<int>(recv(fd_, buffer, sizeof buffer, 0));
  return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
}

std::string peer::read_request() {
  for (;;) {
    if (const auto end = held_.find("\r\n\r\n"); end != std::string::npos) {
      const std::string head = held_.substr(0, end + 4);
      const std::string length = header_of(head, "content-length");
      const std::size_t total = end + 4 + (length.empty() ? 0 : std::stoul(length));
      if (held_.size() >= total) {
        std::string request = held_.substr(0, total);
        held_.erase(0, total);
        return request;
      }
    }
    const std::string more = receive();
    if (more.empty()) return {};
    held_ += more;
  }
}

bool peer::send(std::string_view bytes) {
  if (!ssl_) return send_all(fd_, bytes);
  return bytes.empty() || SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) > 0;
}

bool peer::send_split(std::string_view bytes, std::size_t piece) {
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (!send(bytes.substr(at, piece))) return false;
  }
  return true;
}

void peer::wait_until_closed() {
  while (!receive().empty()) {
  }
}

void peer::close() {
  if (ssl_) SSL_shutdown(ssl_);
  ::shutdown(fd_, SHUT_RDWR);
}

void peer::reset() {
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  // Closing makes the RST; a placeholder keeps the number, which the server still holds.
  const int placeholder = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  dup2(placeholder, fd_);
  ::close(placeholder);
}

bool peer::tunnel_to(std::uint16_t port) {
  const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool ok = connect(other, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  while (ok) {
    pollfd fds[2] = {{fd_, POLLIN, 0}, {other, POLLIN, 0}};
    poll(fds, 2, -1);
    for (int i = 0; ok && i < 2; ++i) {
      if (fds[i].revents == 0) continue;
      char buffer[65536];
      const auto n = recv(fds[i].fd, buffer, sizeof buffer, 0);
      ok = n > 0 && send_all(fds[1 - i].fd, {buffer, static_cast<std::size_t>(n)});
    }
  }
  ::close(other);
  return ok;
}

test_certificate::test_certificate(const std::string& names, long ends_in_s) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), ends_in_s - 7200);
  X509_gmtime_adj(X509_getm_notAfter(cert), ends_in_s);
  X509_set_pubkey(cert, key);
  X509_NAME* name = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("rustic test"), -1, -1, 0);
  X509_set_issuer_name(cert, name);
  X509V3_CTX v3;
  X509V3_set_ctx(&v3, cert, cert, nullptr, nullptr, 0);
  for (const auto& [id, value] : {std::pair<int, std::string>{NID_subject_alt_name, names},
                                  {NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &v3, id, value.c_str());
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
  }
  X509_sign(cert, key, EVP_sha256());

  char path[] = "/tmp/rustic-test-ca-XXXXXX";
  const int fd = mkstemp(path);
  file_ = path;
  FILE* out = fdopen(fd, "w");
  PEM_write_X509(out, cert);
  fclose(out);

  context_ = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context_, cert);
  SSL_CTX_use_PrivateKey(context_, key);
  X509_free(cert);
  EVP_PKEY_free(key);
}

test_certificate::~test_certificate() {
  SSL_CTX_free(context_);
  unlink(file_.c_str());
}

test_server::test_server(script run, ssl_ctx_st* tls) : run_(std::move(run)), tls_(tls) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      listen(listener_, 128) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &length) != 0) {
    throw std::runtime_error("test server");
  }
  port_ = ntohs(at.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

test_server::~test_server() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    std::lock_guard lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  for (auto& thread : threads_) thread.join();
  close(listener_);
}

std::string test_server::url(std::string_view path) const {
  return (tls_ ? "https://localhost:" : "http://localhost:") + std::to_string(port_) +
         std::string(path);
}

void test_server::accept_all() {
  block_sigpipe();  // and so in the threads that it starts
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int number = connections_++;
    {
      std::lock_guard lock(mutex_);
      open_.push_back(fd);
    }
    threads_.emplace_back([this, fd, number] {
      {
        peer p(fd, number, tls_);
        if (!p.tls_failed_) run_(p);
      }
      std::lock_guard lock(mutex_);
      open_.erase(std::find(open_.begin(), open_.end(), fd));
      close(fd);
    });
  }
}

hung_listener::hung_listener() {
  fds_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  bind(fds_[0], reinterpret_cast<sockaddr*>(&at), sizeof at);
  listen(fds_[0], 0);
  getsockname(fds_[0], reinterpret_cast<sockaddr*>(&at), &length);
  port_ = ntohs(at.sin_port);
  for (int i = 0; i < 4; ++i) {
    fds_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    connect(fds_.back(), reinterpret_cast<sockaddr*>(&at), sizeof at);
  }
}

hung_listener::~hung_listener() {
  for (const int fd : fds_) ::close(fd);
}

void gate::open() {
  std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

void gate::pass() {
  std::unique_lock lock(mutex_);
  ++waiting_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return open_; });
}

bool gate::wait_until_waited_at() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(20), [this] { return waiting_ > 0; });
}

socket_address loopback(std::uint16_t port) {
  resolved out;
  resolve_at_once("127.0.0.1", port, out);
  return out.addresses.at(0);
}

std::string answer(std::string_view body, std::string_view extra_headers, int status) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(extra_headers) + "\r\n" + std::string(body);
}

std::string chunk(std::string_view body) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", body.size());
  return size + std::string(body) + "\r\n";
}

std::string gzip(std::string_view text) {
  return compressed(text, 15 + 16);
}
std::string deflate_raw(std::string_view text) {
  return compressed(text, -15);
}
std::string deflate_zlib(std::string_view text) {
  return compressed(text, 15);
}

std::string header_of(const std::string& request, std::string name) {
  const std::string head = request.substr(0, request.find("\r\n\r\n") + 2);
  const auto at = lower(head).find("\r\n" + lower(std::move(name)) + ": ");
  if (at == std::string::npos) return {};
  const auto begin = head.find(": ", at) + 2;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

sink_flow recorder::on_head(const response_head& h, const std::string& url) {
  std::lock_guard lock(mutex_);
  head = h;
  final_url = url;
  has_head_ = true;
  changed_.notify_all();
  return sink_flow::go_on;
}

sink_flow recorder::on_data(std::string_view piece) {
  {
    std::lock_guard lock(mutex_);
    body.append(piece);
    ++pieces;
    largest_piece = std::max(largest_piece, piece.size());
    changed_.notify_all();
  }
  return on_piece ? on_piece(piece) : sink_flow::go_on;
}

void recorder::on_finish(const outcome& r) {
  std::lock_guard lock(mutex_);
  result = r;
  ++finishes;
  changed_.notify_all();
}

template <class Condition>
bool recorder::wait_for(Condition condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(20), condition);
}

bool recorder::wait_finished() {
  return wait_for([this] { return finishes > 0; });
}
bool recorder::wait_head() {
  return wait_for([this] { return has_head_; });
}
bool recorder::wait_body(std::size_t bytes) {
  return wait_for([this, bytes] { return body.size() >= bytes; });
}
std::size_t recorder::body_bytes() {
  std::lock_guard lock(mutex_);
  return body.size();
}
std::string recorder::body_text() {
  std::lock_guard lock(mutex_);
  return body;
}

std::shared_ptr<recorder> fetch(http_client& client, http_request request) {
  auto sink = std::make_shared<recorder>();
  client.start(std::move(request), sink);
  if (!sink->wait_finished()) throw std::runtime_error("the request did not finish");
  return sink;
}

http_request get(std::string url) {
  http_request request;
  request.url = std::move(url);
  return request;
}

}  // namespace rustic::http::testing
