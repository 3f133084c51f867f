#include "bindings/bind_host.h"

namespace lm {
void add_job_functions(lua_State*) {}
}  // namespace lm
