#include "tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <list>
#include <system_error>

#include "limits.hpp"
#include "url.hpp"

namespace rustic::http {
namespace {

// A directory of certificates under their hashes: each is read when it is needed, whereas the
// bundle in one file takes 17 ms to parse.
constexpr const char* system_ca_path = "/etc/ssl/certs";

struct context_deleter {
  void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
};
struct ssl_deleter {
  void operator()(SSL* s) const { SSL_free(s); }
};
struct session_deleter {
  void operator()(SSL_SESSION* s) const { SSL_SESSION_free(s); }
};
struct method_deleter {
  void operator()(BIO_METHOD* m) const { BIO_meth_free(m); }
};

int clamp(std::size_t size) {
  return static_cast<int>(std::min<std::size_t>(size, INT_MAX));
}

std::string newest_error() {
  const unsigned long code = ERR_peek_last_error();
  if (code == 0) return "unknown failure";
  const char* reason = ERR_reason_error_string(code);
  return reason ? reason : "error " + std::to_string(code);
}

// OpenSSL's own socket BIO writes with write(), which raises SIGPIPE.
struct socket_state {
  int fd = -1;
  int error_number = 0;
};

socket_state& state_of(BIO* bio) {
  return *static_cast<socket_state*>(BIO_get_data(bio));
}

int bio_result(BIO* bio, ssize_t n, bool reading) {
  BIO_clear_retry_flags(bio);
  if (n >= 0) return static_cast<int>(n);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    if (reading) {
      BIO_set_retry_read(bio);
    } else {
      BIO_set_retry_write(bio);
    }
  } else {
    state_of(bio).error_number = errno;
  }
  return -1;
}

int bio_write(BIO* bio, const char* from, int size) {
  return bio_result(bio, send(state_of(bio).fd, from, static_cast<std::size_t>(size), MSG_NOSIGNAL),
                    false);
}

int bio_read(BIO* bio, char* to, int size) {
  const auto n = recv(state_of(bio).fd, to, static_cast<std::size_t>(size), 0);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return bio_result(bio, n, true);
}

long bio_ctrl(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

}  // namespace

struct tls_client::impl {
  explicit impl(tls_settings s) : settings(std::move(s)) {}
  tls_settings settings;
  std::unique_ptr<BIO_METHOD, method_deleter> method;
  std::unique_ptr<SSL_CTX, context_deleter> context;
  struct kept_session {
    std::string key;
    std::unique_ptr<SSL_SESSION, session_deleter> session;
  };
  std::list<kept_session> sessions;  // the most recently stored first

  bool prepare(std::string& problem);
  void keep(const std::string& key, SSL_SESSION* session) {
    sessions.remove_if([&](const kept_session& k) { return k.key == key; });
    sessions.push_front({key, std::unique_ptr<SSL_SESSION, session_deleter>(session)});
    if (sessions.size() > limits::tls_sessions_max) sessions.pop_back();
  }
};

struct tls_stream::impl {
  socket_state socket;
  tls_client::impl* client = nullptr;
  std::string session_key;
  std::unique_ptr<SSL, ssl_deleter> ssl;
  bool broken = false;
  bool failure_due = false;  // read() had bytes to give first
  io_result failure;

  static int on_session(SSL* ssl, SSL_SESSION* session);
  io_result give(int status);
};

// OpenSSL hands out one reference; returning 1 keeps it.
int tls_stream::impl::on_session(SSL* ssl, SSL_SESSION* session) {
  auto* self = static_cast<impl*>(SSL_get_app_data(ssl));
  if (!self || !SSL_SESSION_is_resumable(session)) return 0;
  try {
    self->client->keep(self->session_key, session);
  } catch (...) {
    return 0;
  }
  return 1;
}

io_result tls_stream::impl::give(int status) {
  io_result out;
  switch (SSL_get_error(ssl.get(), status)) {
    case SSL_ERROR_WANT_READ:
      out.kind = io_result::want_read;
      return out;
    case SSL_ERROR_WANT_WRITE:
      out.kind = io_result::want_write;
      return out;
    case SSL_ERROR_ZERO_RETURN:
      out.kind = io_result::closed;
      return out;
    default:
      break;
  }
  broken = true;
  out.error_number = socket.error_number;
  const long verified = SSL_get_verify_result(ssl.get());
  if (verified != X509_V_OK) {
    out.error_number = 0;
    out.error =
        std::string("its certificate was refused: ") + X509_verify_cert_error_string(verified);
  } else if (out.error_number != 0) {
    out.error = std::generic_category().message(out.error_number);
  } else if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    out.error_number = ECONNRESET;
    out.error = "the connection was closed without the end of the TLS stream";
  } else {
    out.error = newest_error();
  }
  return out;
}

tls_stream::tls_stream(std::unique_ptr<impl> state) : impl_(std::move(state)) {}

tls_stream::~tls_stream() {
  if (impl_->broken || !SSL_is_init_finished(impl_->ssl.get())) return;
  ERR_clear_error();
  SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
}

io_result tls_stream::handshake() {
  ERR_clear_error();
  const int status = SSL_connect(impl_->ssl.get());
  if (status != 1) return impl_->give(status);
  io_result out;
  out.kind = io_result::some;
  return out;
}

io_result tls_stream::read(char* to, std::size_t capacity) {
  if (impl_->failure_due) return impl_->failure;
  // Each call gives one record at most; many small ones are gathered here.
  std::size_t total = 0;
  while (total < capacity) {
    ERR_clear_error();
    const int n = SSL_read(impl_->ssl.get(), to + total, clamp(capacity - total));
    if (n <= 0) {
      io_result end = impl_->give(n);
      if (total == 0) return end;
      if (end.kind == io_result::failed) {
        impl_->failure = std::move(end);
        impl_->failure_due = true;
      }
      break;
    }
    total += static_cast<std::size_t>(n);
    if (SSL_has_pending(impl_->ssl.get()) == 0) break;
  }
  io_result out;
  out.kind = io_result::some;
  out.bytes = total;
  return out;
}

io_result tls_stream::write(const char* from, std::size_t size) {
  ERR_clear_error();
  const int n = SSL_write(impl_->ssl.get(), from, clamp(size));
  if (n <= 0) return impl_->give(n);
  io_result out;
  out.kind = io_result::some;
  out.bytes = static_cast<std::size_t>(n);
  return out;
}

bool tls_stream::resumed() const {
  return SSL_session_reused(impl_->ssl.get()) == 1;
}

tls_client::tls_client(tls_settings settings)
    : impl_(std::make_unique<impl>(std::move(settings))) {}

tls_client::~tls_client() = default;

bool tls_client::impl::prepare(std::string& problem) {
  if (context) return true;
  ERR_clear_error();
  std::unique_ptr<SSL_CTX, context_deleter> fresh(SSL_CTX_new(TLS_client_method()));
  if (!method) {
    method.reset(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR,
                              "rustic socket"));
  }
  if (!fresh || !method) {
    problem = "OpenSSL cannot be set up: " + newest_error();
    return false;
  }
  BIO_meth_set_write(method.get(), bio_write);
  BIO_meth_set_read(method.get(), bio_read);
  BIO_meth_set_ctrl(method.get(), bio_ctrl);

  SSL_CTX_set_min_proto_version(fresh.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(fresh.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(fresh.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // One recv() then serves many records.
  SSL_CTX_set_read_ahead(fresh.get(), 1);
  SSL_CTX_set_default_read_buffer_len(fresh.get(), limits::piece_bytes_max);
  SSL_CTX_set_session_cache_mode(fresh.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(fresh.get(), tls_stream::impl::on_session);
  static constexpr unsigned char protocols[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(fresh.get(), protocols, sizeof protocols);

  if (!settings.ca_path.empty()) {
    if (access(settings.ca_path.c_str(), R_OK | X_OK) != 0 ||
        SSL_CTX_load_verify_dir(fresh.get(), settings.ca_path.c_str()) != 1) {
      problem = "ca_path " + settings.ca_path +
                " cannot be read: " + std::generic_category().message(errno);
      return false;
    }
  } else if (access(system_ca_path, R_OK | X_OK) == 0) {
    SSL_CTX_load_verify_dir(fresh.get(), system_ca_path);
  } else {
    SSL_CTX_set_default_verify_paths(fresh.get());
  }
  if (!settings.ca_file.empty() &&
      SSL_CTX_load_verify_file(fresh.get(), settings.ca_file.c_str()) != 1) {
    problem = "ca_file " + settings.ca_file + " cannot be used: " + newest_error();
    return false;
  }
  ERR_clear_error();
  context = std::move(fresh);
  return true;
}

std::unique_ptr<tls_stream> tls_client::open(int fd, const std::string& host,
                                             const std::string& session_key, std::string& problem) {
  if (!impl_->prepare(problem)) return nullptr;
  auto state = std::make_unique<tls_stream::impl>();
  state->socket.fd = fd;
  state->client = impl_.get();
  state->session_key = session_key;
  state->ssl.reset(SSL_new(impl_->context.get()));
  BIO* bio = state->ssl ? BIO_new(impl_->method.get()) : nullptr;
  if (!bio) {
    problem = "OpenSSL has no memory";
    return nullptr;
  }
  BIO_set_data(bio, &state->socket);
  BIO_set_init(bio, 1);
  SSL_set_bio(state->ssl.get(), bio, bio);
  SSL_set_app_data(state->ssl.get(), state.get());

  bool named;
  if (is_ip_address(host)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(state->ssl.get()), host.c_str()) == 1;
  } else {
    // A name written with its final dot is the same name, but no certificate has the dot.
    const std::string name = host.substr(0, host.find_last_not_of('.') + 1);
    SSL_set_hostflags(state->ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    named = SSL_set1_host(state->ssl.get(), name.c_str()) == 1 &&
            SSL_set_tlsext_host_name(state->ssl.get(), name.c_str()) == 1;
  }
  if (!named) {
    problem = "OpenSSL does not accept this host name";
    return nullptr;
  }
  for (const auto& kept : impl_->sessions) {
    if (kept.key == session_key) SSL_set_session(state->ssl.get(), kept.session.get());
  }
  return std::unique_ptr<tls_stream>(new tls_stream(std::move(state)));
}

io_result socket_read(int fd, char* to, std::size_t capacity) {
  io_result out;
  const auto n = recv(fd, to, capacity, 0);
  if (n > 0) {
    out.kind = io_result::some;
    out.bytes = static_cast<std::size_t>(n);
  } else if (n == 0) {
    out.kind = io_result::closed;
  } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    out.kind = io_result::want_read;
  } else {
    out.error_number = errno;
    out.error = std::generic_category().message(errno);
  }
  return out;
}

io_result socket_write(int fd, const char* from, std::size_t size) {
  io_result out;
  const auto n = send(fd, from, size, MSG_NOSIGNAL);
  if (n >= 0) {
    out.kind = io_result::some;
    out.bytes = static_cast<std::size_t>(n);
  } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    out.kind = io_result::want_write;
  } else {
    out.error_number = errno;
    out.error = std::generic_category().message(errno);
  }
  return out;
}

}  // namespace rustic::http
