// Feeds random bytes to the reader of session files, behind the beginning that a file of the model
// at hand has and with a right checksum; any outcome but an lm::Error or success is a defect.
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "engine/core/crc32.h"
#include "engine/core/error.h"
#include "engine/infer/scheduler.h"
#include "engine/infer/session_file.h"

namespace {

constexpr size_t kSameForAll = 24;  // magic, fingerprint, type and size of pages

struct Target {
  std::shared_ptr<const lm::Model> model =
      lm::Model::load(std::string(LM_SOURCE_DIR) + "/tests/data/models/llama");
  std::unique_ptr<lm::Sequence> sequence = lm::Scheduler::of(*model).open(model, 64);
  std::string beginning;

  Target() {
    const std::string path =
        (std::filesystem::temp_directory_path() / "lmfast_session_fuzz").string();
    lm::save_session(*sequence, "", path);
    std::ifstream in(path, std::ios::binary);
    beginning.assign(std::istreambuf_iterator<char>(in), {});
    beginning.resize(kSameForAll);
    std::filesystem::remove(path);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Target target;
  std::string bytes = target.beginning;
  bytes.append(reinterpret_cast<const char*>(data), size);
  const uint32_t crc = lm::crc32(std::as_bytes(std::span(bytes)));
  bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
  try {
    lm::restore_session(*target.sequence, std::as_bytes(std::span(bytes)), "fuzz");
  } catch (const lm::Error&) {
  }
  return 0;
}
