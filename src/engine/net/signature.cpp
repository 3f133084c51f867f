#include "engine/net/signature.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "engine/core/error.h"

namespace lm {
namespace {

template <typename T, void (*release)(T*)>
using Owned = std::unique_ptr<T, decltype([](T* p) { release(p); })>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Number = Owned<BIGNUM, BN_free>;

constexpr int kLeastRsaBits = 2048;             // RFC 7518, section 3.3
constexpr size_t kMostRsaBytes = 16384 / 8;     // larger keys only cost time
constexpr size_t kCoordinate = 32, kHalf = 32;  // of P-256 and its signatures

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Number number(std::string_view bytes) {
  return Number(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

Key from_parameters(const char* kind, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return Key(key);
}

using Builder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;

Key rsa(const PublicKey& k) {
  if (k.n.size() > kMostRsaBytes || k.e.empty() || k.e.size() > 8) return nullptr;
  const Builder builder(OSSL_PARAM_BLD_new());
  const Number n = number(k.n), e = number(k.e);
  if (!builder || !n || !e || BN_num_bits(n.get()) < kLeastRsaBits ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  return from_parameters("RSA", builder.get());
}

Key p256(const PublicKey& k) {
  if (k.x.size() != kCoordinate || k.y.size() != kCoordinate) return nullptr;
  const Builder builder(OSSL_PARAM_BLD_new());
  const std::string point = "\x04" + k.x + k.y;  // uncompressed
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1)
    return nullptr;
  return from_parameters("EC", builder.get());
}

Key ed25519(const PublicKey& k) {
  return Key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(k.x), k.x.size()));
}

// r and s one behind the other (RFC 7518, section 3.4) as OpenSSL wants them; "" for other sizes.
std::string der_of(std::string_view signature) {
  if (signature.size() != 2 * kHalf) return "";
  const Owned<ECDSA_SIG, ECDSA_SIG_free> made(ECDSA_SIG_new());
  Number r = number(signature.substr(0, kHalf)), s = number(signature.substr(kHalf));
  if (!made || !r || !s || ECDSA_SIG_set0(made.get(), r.get(), s.get()) != 1) return "";
  (void)r.release();  // theirs now
  (void)s.release();
  unsigned char* out = nullptr;
  const int size = i2d_ECDSA_SIG(made.get(), &out);
  if (size <= 0) return "";
  std::string der(reinterpret_cast<const char*>(out), static_cast<size_t>(size));
  OPENSSL_free(out);
  return der;
}

bool verify(EVP_PKEY* key, const EVP_MD* digest, bool pss, std::string_view bytes,
            std::string_view signature) {
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* inner = nullptr;
  if (key == nullptr || !context ||
      EVP_DigestVerifyInit(context.get(), &inner, digest, nullptr, key) != 1)
    return false;
  if (pss && (EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING) != 1 ||
              EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, RSA_PSS_SALTLEN_DIGEST) != 1))
    return false;
  return EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(bytes),
                          bytes.size()) == 1;
}

}  // namespace

bool verify_signature(std::string_view algorithm, const PublicKey& key, std::string_view bytes,
                      std::string_view signature) {
  if (algorithm == "RS256" || algorithm == "PS256") {
    if (key.kind != "RSA") return false;
    return verify(rsa(key).get(), EVP_sha256(), algorithm == "PS256", bytes, signature);
  }
  if (algorithm == "ES256") {
    if (key.kind != "EC" || key.curve != "P-256") return false;
    return verify(p256(key).get(), EVP_sha256(), false, bytes, der_of(signature));
  }
  if (algorithm == "EdDSA") {
    if (key.kind != "OKP" || key.curve != "Ed25519") return false;
    return verify(ed25519(key).get(), nullptr, false, bytes, signature);
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("signatures by \"{}\" are not known; expected RS256, PS256, ES256, EdDSA",
                          algorithm));
}

}  // namespace lm
