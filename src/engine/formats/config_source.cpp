#include "engine/formats/config_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/formats/json_file.h"

namespace lm {

using nlohmann::json;

ConfigValue ConfigSource::get(std::string_view hf, std::string_view gguf, Kind kind) const {
  {
    const std::lock_guard lock(mutex_);
    const bool known = std::any_of(asked_.begin(), asked_.end(),
                                   [&](const Question& q) { return q.hf == hf && q.gguf == gguf; });
    if (!known) asked_.push_back({std::string(hf), std::string(gguf), kind});
  }
  return find(hf, gguf);
}

bool ConfigSource::has(std::string_view hf, std::string_view gguf) const {
  return !std::holds_alternative<std::monostate>(get(hf, gguf));
}

std::vector<ConfigSource::Question> ConfigSource::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

namespace {

std::string describe(const ConfigValue& value) {
  if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  if (const auto* i = std::get_if<int64_t>(&value)) return fmt::format("{}", *i);
  if (const auto* d = std::get_if<double>(&value)) return fmt::format("{}", *d);
  if (const auto* s = std::get_if<std::string>(&value))
    return fmt::format("\"{}\"", std::string_view(*s).substr(0, 80));
  return "a list";
}

}  // namespace

std::optional<int64_t> ConfigSource::integer(std::string_view hf, std::string_view gguf) const {
  const ConfigValue value = get(hf, gguf, Kind::integer);
  if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
  if (const auto* i = std::get_if<int64_t>(&value)) return *i;
  if (const auto* b = std::get_if<bool>(&value)) return *b ? 1 : 0;
  if (const auto* d = std::get_if<double>(&value);
      d != nullptr && std::floor(*d) == *d && std::fabs(*d) < 9e15)
    return static_cast<int64_t>(*d);
  raise(ErrorCode::bad_file, "{}: \"{}\" is {}; expected a whole number", where(),
        name_of(hf, gguf), describe(value));
}

std::optional<double> ConfigSource::real(std::string_view hf, std::string_view gguf) const {
  const ConfigValue value = get(hf, gguf, Kind::real);
  if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
  if (const auto* i = std::get_if<int64_t>(&value)) return static_cast<double>(*i);
  if (const auto* d = std::get_if<double>(&value)) return *d;
  raise(ErrorCode::bad_file, "{}: \"{}\" is {}; expected a number", where(), name_of(hf, gguf),
        describe(value));
}

std::optional<bool> ConfigSource::flag(std::string_view hf, std::string_view gguf) const {
  const ConfigValue value = get(hf, gguf, Kind::flag);
  if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
  if (const auto* b = std::get_if<bool>(&value)) return *b;
  if (const auto* i = std::get_if<int64_t>(&value)) return *i != 0;
  raise(ErrorCode::bad_file, "{}: \"{}\" is {}; expected true or false", where(), name_of(hf, gguf),
        describe(value));
}

std::optional<std::string> ConfigSource::text(std::string_view hf, std::string_view gguf) const {
  const ConfigValue value = get(hf, gguf, Kind::text);
  if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
  if (const auto* s = std::get_if<std::string>(&value)) return *s;
  raise(ErrorCode::bad_file, "{}: \"{}\" is {}; expected a text", where(), name_of(hf, gguf),
        describe(value));
}

std::vector<double> ConfigSource::numbers(std::string_view hf, std::string_view gguf) const {
  const ConfigValue value = get(hf, gguf, Kind::numbers);
  if (std::holds_alternative<std::monostate>(value)) return {};
  if (const auto* list = std::get_if<std::vector<double>>(&value)) return *list;
  if (const auto* i = std::get_if<int64_t>(&value)) return {static_cast<double>(*i)};
  if (const auto* d = std::get_if<double>(&value)) return {*d};
  raise(ErrorCode::bad_file, "{}: \"{}\" is {}; expected a list of numbers", where(),
        name_of(hf, gguf), describe(value));
}

std::vector<std::string> ConfigSource::texts(std::string_view hf, std::string_view gguf) const {
  const ConfigValue value = get(hf, gguf, Kind::texts);
  if (std::holds_alternative<std::monostate>(value)) return {};
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) return *list;
  if (const auto* s = std::get_if<std::string>(&value)) return {*s};
  raise(ErrorCode::bad_file, "{}: \"{}\" is {}; expected a list of texts", where(),
        name_of(hf, gguf), describe(value));
}

namespace {

class GgufConfig : public ConfigSource {
 public:
  explicit GgufConfig(std::shared_ptr<const GgufFile> file)
      : ConfigSource("GGUF metadata"), file_(std::move(file)) {
    const auto architecture = file_->get_string("general.architecture");
    LM_CHECK(architecture.has_value(), ErrorCode::bad_file,
             "GGUF key \"general.architecture\" is missing");
    prefix_ = std::string(*architecture) + ".";
  }

 protected:
  ConfigValue find(std::string_view, std::string_view gguf) const override {
    if (gguf.empty()) return {};
    const std::string key = full_key(gguf);
    const GgufValue* value = file_->find(key);
    if (value == nullptr) return {};
    if (value->is_array) {
      if (value->type == GgufType::string) {
        std::vector<std::string> out;
        for (const std::string_view s : file_->get_strings(key)) out.emplace_back(s);
        return out;
      }
      std::vector<double> out;
      if (value->type == GgufType::f32) {
        for (const float f : file_->get_floats(key)) out.push_back(static_cast<double>(f));
      } else {
        for (const int64_t i : file_->get_ints(key)) out.push_back(static_cast<double>(i));
      }
      return out;
    }
    switch (value->type) {
      case GgufType::string:
        return std::string(*file_->get_string(key));
      case GgufType::boolean:
        return *file_->get_bool(key);
      case GgufType::f32:
      case GgufType::f64:
        return *file_->get_float(key);
      default:
        return *file_->get_int(key);
    }
  }
  std::string_view name_of(std::string_view, std::string_view gguf) const override { return gguf; }

 private:
  std::string full_key(std::string_view gguf) const {
    const bool whole = gguf.starts_with("general.") || gguf.starts_with("tokenizer.");
    return whole ? std::string(gguf) : prefix_ + std::string(gguf);
  }
  std::shared_ptr<const GgufFile> file_;
  std::string prefix_;
};

class JsonConfig : public ConfigSource {
 public:
  explicit JsonConfig(const std::string& path) : ConfigSource(path), root_(read_json_file(path)) {
    LM_CHECK(root_.is_object(), ErrorCode::bad_file, "{}: not a JSON object", path);
  }

 protected:
  ConfigValue find(std::string_view hf, std::string_view) const override {
    while (!hf.empty()) {
      const size_t bar = hf.find('|');
      if (const json* value = at(hf.substr(0, bar)); value != nullptr && !value->is_null())
        return convert(*value);
      if (bar == hf.npos) break;
      hf.remove_prefix(bar + 1);
    }
    return {};
  }
  std::string_view name_of(std::string_view hf, std::string_view) const override { return hf; }

 private:
  static const json* member(const json& of, std::string_view name) {
    if (of.is_object()) {
      const auto it = of.find(name);
      return it == of.end() ? nullptr : &*it;
    }
    size_t i = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), i);
    const bool number = error == std::errc{} && end == name.data() + name.size();
    return of.is_array() && number && i < of.size() ? &of[i] : nullptr;
  }
  const json* at(std::string_view path) const {
    const json* value = &root_;
    for (;;) {
      const size_t dot = path.find('.');
      value = member(*value, path.substr(0, dot));
      if (value == nullptr) return nullptr;
      if (dot == path.npos) return value;
      path.remove_prefix(dot + 1);
    }
  }
  // Objects and mixed lists count as absent: whoever wants their members asks for those.
  static ConfigValue convert(const json& v) {
    if (v.is_boolean()) return v.get<bool>();
    if (v.is_number_integer()) return v.get<int64_t>();
    if (v.is_number()) return v.get<double>();
    if (v.is_string()) return v.get<std::string>();
    if (!v.is_array()) return {};
    const auto all = [&](auto&& test) { return std::all_of(v.begin(), v.end(), test); };
    if (all([](const json& x) { return x.is_number() || x.is_boolean(); })) {
      std::vector<double> out;
      for (const json& x : v)
        out.push_back(x.is_boolean() ? (x.get<bool>() ? 1.0 : 0.0) : x.get<double>());
      return out;
    }
    if (all([](const json& x) { return x.is_string(); })) return v.get<std::vector<std::string>>();
    return {};
  }
  json root_;
};

class NestedConfig : public ConfigSource {
 public:
  NestedConfig(std::shared_ptr<const ConfigSource> source, const std::string& object)
      : ConfigSource(source->where()), source_(std::move(source)), prefix_(object + ".") {}

 protected:
  ConfigValue find(std::string_view hf, std::string_view gguf) const override {
    if (hf.empty()) return source_->get(hf, gguf);
    std::string names = prefix_;
    for (const char c : hf) {
      names += c;
      if (c == '|') names += prefix_;
    }
    return source_->get(names.append("|").append(hf), gguf);
  }
  std::string_view name_of(std::string_view hf, std::string_view) const override { return hf; }

 private:
  std::shared_ptr<const ConfigSource> source_;
  std::string prefix_;
};

class ListedConfig : public ConfigSource {
 public:
  ListedConfig(std::string where, std::vector<std::pair<std::string, ConfigValue>> values)
      : ConfigSource(std::move(where)), values_(std::move(values)) {}

 protected:
  ConfigValue find(std::string_view, std::string_view gguf) const override {
    for (const auto& [name, value] : values_)
      if (name == gguf) return value;
    return {};
  }
  std::string_view name_of(std::string_view, std::string_view gguf) const override { return gguf; }

 private:
  std::vector<std::pair<std::string, ConfigValue>> values_;
};

}  // namespace

std::shared_ptr<const ConfigSource> gguf_config_source(std::shared_ptr<const GgufFile> file) {
  return std::make_shared<GgufConfig>(std::move(file));
}
std::shared_ptr<const ConfigSource> json_config_source(const std::string& path) {
  return std::make_shared<JsonConfig>(path);
}
std::shared_ptr<const ConfigSource> nested_config_source(std::shared_ptr<const ConfigSource> source,
                                                         const std::string& object) {
  return std::make_shared<NestedConfig>(std::move(source), object);
}
std::shared_ptr<const ConfigSource> listed_config_source(
    std::string where, std::vector<std::pair<std::string, ConfigValue>> values) {
  return std::make_shared<ListedConfig>(std::move(where), std::move(values));
}

}  // namespace lm
