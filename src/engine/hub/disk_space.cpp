#include "engine/hub/disk_space.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "engine/core/error.h"

namespace lm {
namespace {

uint64_t allocated_bytes(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_blocks) * 512 : 0;
}

}  // namespace

void check_disk_space(const std::vector<Transfer>& transfers, const std::string& folder) {
  uint64_t needed = 0;
  for (const Transfer& t : transfers)
    needed += t.size.value_or(0) - std::min(t.size.value_or(0), allocated_bytes(t.partial));
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) return;  // writing will tell
  const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (needed <= free) return;
  throw Error(
      ErrorCode::io,
      fmt::format("the disk is too full: the files need {:.1f} MB, \"{}\" has {:.1f} MB left",
                  static_cast<double>(needed) / 1e6, folder, static_cast<double>(free) / 1e6),
      "make room, or let HF_HUB_CACHE or LMFAST_MODELS name another disk");
}

}  // namespace lm
