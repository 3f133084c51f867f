// The system calls that confined programs may not make.
#pragma once

namespace lm::agents {

// A descriptor (close-on-exec) that holds the filter as bubblewrap's --seccomp reads it: an array
// of struct sock_filter. -1 on machines whose calls are not known here.
int seccomp_filter();

}  // namespace lm::agents
