// The hashes behind api/net.h, by OpenSSL.
#pragma once

#include "engine/api/net.h"

namespace lm {

std::unique_ptr<Digest> make_digest(DigestKind kind);

}  // namespace lm
