// Opening a part of the engine that lives in a shared library of its own, on first use.
#pragma once

#include <string>

namespace lm {

// Opens NAME (e.g. "liblmfast_train.so"), which lies beside liblmfast.so or where the environment
// variable says, and returns what its C function `entry` returns. Throws not_found with the
// loader's reason and `hint`, or unsupported when the library has no such function.
const void* open_lazy_library(const char* name, const char* variable, const char* entry,
                              const char* hint);

}  // namespace lm
