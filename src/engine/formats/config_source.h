// One way to ask a model's configuration for a value, whatever file it comes from. Each question
// gives the value's name in config.json and in GGUF metadata; what was asked is remembered, so that
// a conversion from one format to the other can copy exactly what the architecture reads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/formats/gguf.h"

namespace lm {

// Numbers of arrays are doubles: exact for every integer that a configuration holds.
using ConfigValue = std::variant<std::monostate, bool, int64_t, double, std::string,
                                 std::vector<double>, std::vector<std::string>>;

class ConfigSource {
 public:
  // hf: names in config.json, alternatives separated by "|", members of objects (lists: their
  // number, from 0) by ".": the first that is there and not null. gguf: the key after
  // "<architecture>.", or a whole key that begins with "general." or "tokenizer.". Either may be
  // empty: the format has no such value. kind: as what it was asked for, which says how a file has
  // to store it.
  enum class Kind : uint8_t { any, integer, real, flag, text, numbers, texts };
  struct Question {
    std::string hf, gguf;
    Kind kind = Kind::any;
  };

  virtual ~ConfigSource() = default;
  // std::monostate when absent.
  ConfigValue get(std::string_view hf, std::string_view gguf, Kind kind = Kind::any) const;
  bool has(std::string_view hf, std::string_view gguf) const;
  // Typed. nullopt when absent; Error{bad_file} naming the value when it has another type.
  std::optional<int64_t> integer(std::string_view hf, std::string_view gguf) const;
  std::optional<double> real(std::string_view hf, std::string_view gguf) const;
  std::optional<bool> flag(std::string_view hf, std::string_view gguf) const;
  std::optional<std::string> text(std::string_view hf, std::string_view gguf) const;
  // One number is a list of one. Empty when absent.
  std::vector<double> numbers(std::string_view hf, std::string_view gguf) const;
  std::vector<std::string> texts(std::string_view hf, std::string_view gguf) const;

  // Every question so far, each once, in order.
  std::vector<Question> asked() const;
  // "GGUF metadata" or the path of config.json; for messages.
  const std::string& where() const { return where_; }

 protected:
  explicit ConfigSource(std::string where) : where_(std::move(where)) {}
  virtual ConfigValue find(std::string_view hf, std::string_view gguf) const = 0;
  // The name that this source understands.
  virtual std::string_view name_of(std::string_view hf, std::string_view gguf) const = 0;

 private:
  std::string where_;
  mutable std::mutex mutex_;
  mutable std::vector<Question> asked_;
};

// Keeps the file. Throws bad_file when general.architecture is missing.
std::shared_ptr<const ConfigSource> gguf_config_source(std::shared_ptr<const GgufFile> file);
// Throws not_found, io, bad_file.
std::shared_ptr<const ConfigSource> json_config_source(const std::string& path);
// A source whose values in config.json may stand in the object `object` ("text_config"), which
// counts before its surroundings.
std::shared_ptr<const ConfigSource> nested_config_source(std::shared_ptr<const ConfigSource> source,
                                                         const std::string& object);
// Values by GGUF key, for formats with a header of their own.
std::shared_ptr<const ConfigSource> listed_config_source(
    std::string where, std::vector<std::pair<std::string, ConfigValue>> values);

}  // namespace lm
