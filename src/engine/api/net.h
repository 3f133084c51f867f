// The lazy door to the network library: liblmfast_net.so brings the HTTP client and OpenSSL, whose
// loading would more than double the time the program takes to start.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lm {

class SocketGuard;

struct HttpOrigin {
  std::string scheme;  // "http" or "https"
  std::string host;    // a name, an IPv4 or an IPv6 address without brackets
  int port = 0;
};

struct HttpOptions {
  double connect_timeout_s = 10;
  double read_timeout_s = 30;  // without a single byte
  // An IPv4 or IPv6 address to connect to, instead of asking what the host's name stands for.
  std::string address = {};
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query, percent-encoded
  HttpHeaders headers;
  std::string body = {};  // of POST, PUT, DELETE and the like; with a GET it is not sent
};

struct HttpReply {
  int status = 0;
  HttpHeaders headers;  // names in lower case
  // The value of the first header of that name (lower case), or "".
  std::string_view header(std::string_view name) const;
};

// What receives a reply. Returning false ends the request; exceptions pass through send().
struct HttpSink {
  std::function<bool(const HttpReply&)> on_headers;
  std::function<bool(std::string_view)> on_data;
};

// Requests to one origin, one after the other over a kept connection. Certificates are always
// verified (SSL_CERT_FILE names others than the system's); proxies are those of the environment, by
// the rules of curl (https_proxy, http_proxy, no_proxy). Redirects are not followed, bodies not
// decompressed. Used by one thread.
class HttpConnection {
 public:
  virtual ~HttpConnection() = default;
  // Throws network (no connection, broken off, a reply that is not HTTP), timeout, denied (the
  // certificate is not trusted); interrupted when the guard was stopped. True: the reply is whole;
  // false: the sink ended it.
  virtual bool send(const HttpRequest& request, const HttpSink& sink) = 0;
};

enum class DigestKind : uint8_t { sha1, sha256 };

class Digest {
 public:
  virtual ~Digest() = default;
  virtual void update(std::string_view bytes) = 0;
  virtual std::string hex() = 0;  // lower case; ends the computation
};

// A public key as JSON Web Keys have it (RFC 7518, section 6; RFC 8037), its numbers as bytes,
// big end first.
struct PublicKey {
  std::string kind;   // kty: "RSA", "EC", "OKP"
  std::string curve;  // crv: "P-256", "Ed25519"
  std::string n, e;   // RSA
  std::string x, y;   // EC; OKP has x alone
};

struct NetApi {
  int version;  // kNetApiVersion of the build; both sides must agree
  std::unique_ptr<HttpConnection> (*connect)(const HttpOrigin& origin, const HttpOptions& options,
                                             SocketGuard& guard);
  std::unique_ptr<Digest> (*digest)(DigestKind kind);
  // Whether a signature of JSON Web Signatures (RFC 7518: RS256, PS256, ES256; RFC 8037: EdDSA) is
  // that of the key over these bytes; false for keys of another kind, and RSA below 2048 bits.
  // Throws unsupported for other algorithms.
  bool (*verify_signature)(std::string_view algorithm, const PublicKey& key, std::string_view bytes,
                           std::string_view signature);
};

inline constexpr int kNetApiVersion = 4;

// Opens the library if it is not open yet: beside liblmfast.so, or at LMFAST_NET_LIBRARY.
const NetApi& net_api();

}  // namespace lm
