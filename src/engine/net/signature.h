// Signatures over bytes, by OpenSSL.
#pragma once

#include "engine/api/net.h"

namespace lm {

bool verify_signature(std::string_view algorithm, const PublicKey& key, std::string_view bytes,
                      std::string_view signature);

}  // namespace lm
