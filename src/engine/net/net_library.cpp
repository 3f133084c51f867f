// The one exported function of liblmfast_net.so.
#include "engine/net/digest.h"
#include "engine/net/http_connection.h"
#include "engine/net/signature.h"

extern "C" const void* lmfast_net_open() {
  static constexpr lm::NetApi kApi{lm::kNetApiVersion, lm::connect_http, lm::make_digest,
                                   lm::verify_signature};
  return &kApi;
}
