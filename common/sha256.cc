#include "common/sha256.h"

#include <openssl/evp.h>

#include "common/check.h"

namespace shoal {

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  SHOAL_CHECK(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) == 1,
              "OpenSSL offers no SHA-256");
}

Sha256::~Sha256() = default;

void Sha256::update(std::string_view bytes) {
  SHOAL_CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1,
              "SHA-256 update failed");
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest{};
  unsigned int size = 0;
  SHOAL_CHECK(EVP_DigestFinal_ex(context_->evp, digest.data(), &size) == 1 &&
                  size == digest.size(),
              "SHA-256 finish failed");
  return digest;
}

Sha256Digest sha256(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

std::string to_hex(const Sha256Digest& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(digest.size() * 2);
  for (const std::uint8_t byte : digest) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace shoal
