#include "engine/net/digest.h"

#include <openssl/evp.h>

#include "engine/core/error.h"

namespace lm {
namespace {

class EvpDigest : public Digest {
 public:
  explicit EvpDigest(const EVP_MD* kind) : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    check(context_ && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1);
  }
  void update(std::string_view bytes) override {
    check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  std::string hex() override {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    check(EVP_DigestFinal_ex(context_.get(), bytes, &size) == 1);
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
    return text;
  }

 private:
  static void check(bool ok) {
    LM_CHECK(ok, ErrorCode::internal, "OpenSSL cannot compute the hash");
  }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::unique_ptr<Digest> make_digest(DigestKind kind) {
  return std::make_unique<EvpDigest>(kind == DigestKind::sha1 ? EVP_sha1() : EVP_sha256());
}

}  // namespace lm
