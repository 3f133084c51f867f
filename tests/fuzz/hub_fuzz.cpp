// What servers send: listings of the Hub's API, addresses of redirects, wheels.
#include <cstdint>
#include <string_view>

#include "engine/api/hub.h"
#include "engine/core/error.h"
#include "engine/formats/zip.h"
#include "engine/hub/url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto run = [](auto&& f) {
    try {
      f();
    } catch (const lm::Error&) {
    }
  };
  run([&] {
    for (const lm::HubFile& file : lm::parse_hub_listing(text, "fuzz").files)
      if (!lm::is_safe_path(file.path) || file.size < -1) __builtin_trap();
  });
  run([&] {
    const lm::Url base = lm::parse_url("https://host/a/b?c");
    // What was resolved can be parsed again and stays the same.
    const lm::Url url = lm::resolve_url(base, text);
    if (lm::parse_url(url.text()).text() != url.text()) __builtin_trap();
  });
  run([&] { lm::check_hub_repo({std::string(text), std::string(text)}); });
  run([&] {
    for (const lm::ZipEntry& e :
         lm::parse_zip_entries(std::as_bytes(std::span(data, size)), "fuzz"))
      if (e.size < (1 << 20))
        run([&] { lm::unpack_zip_entry(e, "fuzz", [](std::string_view) {}); });
  });
  return 0;
}
