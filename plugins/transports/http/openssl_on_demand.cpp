// The functions of OpenSSL that tls.cpp calls, each finding the real one when it is first called.
// Linked into the plugin in the place of libssl: most programs speak to a server on this machine
// and need not pay 1.5 ms and 2 MB for a library that is never used. Where OpenSSL is missing they
// return nothing, and the error says why.
#include <dlfcn.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <tuple>

#define RUSTIC_TEXT_OF(x) #x
#define RUSTIC_TEXT(x) RUSTIC_TEXT_OF(x)

namespace {

constexpr const char* library_name = "libssl.so." RUSTIC_TEXT(OPENSSL_SHLIB_VERSION);

// Stays open: OpenSSL does not like to be unloaded. Its libcrypto is searched too.
void* library() {
  static void* const handle = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
  return handle;
}

template <class Function>
struct signature;
template <class Result, class... Arguments>
struct signature<Result(Arguments...)> {
  using result = Result;
  template <std::size_t I>
  using argument = std::tuple_element_t<I, std::tuple<Arguments...>>;
};
template <class Function>
using result = typename signature<Function>::result;
template <std::size_t I, class Function>
using argument = typename signature<Function>::template argument<I>;

template <class Function>
Function* find(const char* name) {
  return library() ? reinterpret_cast<Function*>(dlsym(library(), name)) : nullptr;
}

}  // namespace

#define RUSTIC_FORWARD(name, ...)                         \
  static const auto real = find<decltype(::name)>(#name); \
  if (!real) return result<decltype(::name)>();           \
  return real(__VA_ARGS__)
#define RUSTIC_ARGUMENT(i, name) argument<i, decltype(::name)> a##i
#define RUSTIC_0(name)                         \
  extern "C" result<decltype(::name)> name() { \
    RUSTIC_FORWARD(name);                      \
  }
#define RUSTIC_1(name)                                                 \
  extern "C" result<decltype(::name)> name(RUSTIC_ARGUMENT(0, name)) { \
    RUSTIC_FORWARD(name, a0);                                          \
  }
#define RUSTIC_2(name)                                                                           \
  extern "C" result<decltype(::name)> name(RUSTIC_ARGUMENT(0, name), RUSTIC_ARGUMENT(1, name)) { \
    RUSTIC_FORWARD(name, a0, a1);                                                                \
  }
#define RUSTIC_3(name)                                                                         \
  extern "C" result<decltype(::name)> name(RUSTIC_ARGUMENT(0, name), RUSTIC_ARGUMENT(1, name), \
                                           RUSTIC_ARGUMENT(2, name)) {                         \
    RUSTIC_FORWARD(name, a0, a1, a2);                                                          \
  }
#define RUSTIC_4(name)                                                                           \
  extern "C" result<decltype(::name)> name(RUSTIC_ARGUMENT(0, name), RUSTIC_ARGUMENT(1, name),   \
                                           RUSTIC_ARGUMENT(2, name), RUSTIC_ARGUMENT(3, name)) { \
    RUSTIC_FORWARD(name, a0, a1, a2, a3);                                                        \
  }

RUSTIC_0(BIO_get_new_index)
RUSTIC_0(ERR_clear_error)
RUSTIC_0(TLS_client_method)
RUSTIC_1(BIO_get_data)
RUSTIC_1(BIO_meth_free)
RUSTIC_1(BIO_new)
RUSTIC_1(SSL_CTX_free)
RUSTIC_1(SSL_CTX_new)
RUSTIC_1(SSL_CTX_set_default_verify_paths)
RUSTIC_1(SSL_SESSION_free)
RUSTIC_1(SSL_SESSION_is_resumable)
RUSTIC_1(SSL_connect)
RUSTIC_1(SSL_free)
RUSTIC_1(SSL_get0_param)
RUSTIC_1(SSL_get_verify_result)
RUSTIC_1(SSL_has_pending)
RUSTIC_1(SSL_is_init_finished)
RUSTIC_1(SSL_new)
RUSTIC_1(SSL_session_reused)
RUSTIC_1(SSL_shutdown)
RUSTIC_1(X509_verify_cert_error_string)
RUSTIC_2(BIO_clear_flags)
RUSTIC_2(BIO_meth_new)
RUSTIC_2(BIO_meth_set_ctrl)
RUSTIC_2(BIO_meth_set_read)
RUSTIC_2(BIO_meth_set_write)
RUSTIC_2(BIO_set_data)
RUSTIC_2(BIO_set_flags)
RUSTIC_2(BIO_set_init)
RUSTIC_2(BIO_test_flags)
RUSTIC_2(SSL_CTX_load_verify_dir)
RUSTIC_2(SSL_CTX_load_verify_file)
RUSTIC_2(SSL_CTX_sess_set_new_cb)
RUSTIC_2(SSL_CTX_set_default_read_buffer_len)
RUSTIC_2(SSL_get_error)
RUSTIC_2(SSL_get_ex_data)
RUSTIC_2(SSL_set1_host)
RUSTIC_2(SSL_set_hostflags)
RUSTIC_2(SSL_set_session)
RUSTIC_2(X509_VERIFY_PARAM_set1_ip_asc)
RUSTIC_3(SSL_CTX_set_alpn_protos)
RUSTIC_3(SSL_CTX_set_verify)
RUSTIC_3(SSL_read)
RUSTIC_3(SSL_set_bio)
RUSTIC_3(SSL_set_ex_data)
RUSTIC_3(SSL_write)
RUSTIC_4(SSL_CTX_ctrl)
RUSTIC_4(SSL_ctrl)

extern "C" unsigned long ERR_peek_last_error() {
  static const auto real = find<decltype(::ERR_peek_last_error)>("ERR_peek_last_error");
  return real ? real() : 1;
}

extern "C" const char* ERR_reason_error_string(unsigned long code) {
  static const auto real = find<decltype(::ERR_reason_error_string)>("ERR_reason_error_string");
  return real ? real(code) : "OpenSSL is not installed: libssl was not found";
}
