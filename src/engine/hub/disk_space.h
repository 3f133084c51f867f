// Whether the disk has room for what is to be downloaded.
#pragma once

#include <string>
#include <vector>

#include "engine/hub/transfer.h"

namespace lm {

// Throws io when the file system of `folder` has less room than the files need beyond what their
// partial files take already.
void check_disk_space(const std::vector<Transfer>& transfers, const std::string& folder);

}  // namespace lm
