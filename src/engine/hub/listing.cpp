// What the Hub's API says of a repository, and which names can be asked for. All of it is foreign.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/api/hub.h"
#include "engine/core/error.h"
#include "engine/formats/json_file.h"
#include "engine/hub/blob_name.h"
#include "engine/hub/url.h"
#include "engine/text/unicode.h"

namespace lm {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFiles = 100000;
constexpr int64_t kMaxSize = int64_t{1} << 50;

std::string text_at(const Json& object, const char* key) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

// A licence is an identifier, or a list of them.
std::string licence_of(const Json& card) {
  if (!card.is_object() || !card.contains("license")) return "";
  const Json& value = card["license"];
  if (value.is_array() && !value.empty() && value[0].is_string()) return value[0];
  return value.is_string() ? value.get<std::string>() : "";
}

std::string licence_in_tags(const Json& root) {
  const auto tags = root.find("tags");
  if (tags == root.end() || !tags->is_array()) return "";
  for (const Json& tag : *tags)
    if (tag.is_string() && tag.get_ref<const std::string&>().starts_with("license:"))
      return tag.get<std::string>().substr(8);
  return "";
}

// What is shown to a person: short and without control characters.
std::string printable(std::string text) {
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return text.substr(0, 200);
}

int64_t size_at(const Json& object, const char* key, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return -1;
  LM_CHECK(it->is_number_integer() || it->is_number_unsigned(), ErrorCode::bad_file,
           "{}: \"{}\" is no whole number", where, key);
  LM_CHECK(!it->is_number_unsigned() || it->get<uint64_t>() <= static_cast<uint64_t>(kMaxSize),
           ErrorCode::bad_file, "{}: a size of {} bytes", where, it->dump());
  const auto size = it->get<int64_t>();
  LM_CHECK(size >= 0 && size <= kMaxSize, ErrorCode::bad_file, "{}: a size of {} bytes", where,
           size);
  return size;
}

HubFile file_of(const Json& entry, const std::string& name) {
  HubFile file;
  file.path = text_at(entry, "rfilename");
  LM_CHECK(is_safe_path(file.path), ErrorCode::bad_file,
           "{}: refused: it lists a file named {}, which is no safe relative path", name,
           Json(file.path).dump(-1, ' ', true, Json::error_handler_t::replace));
  const std::string where = fmt::format("{}: \"{}\"", name, file.path);
  file.size = size_at(entry, "size", where);
  file.etag = text_at(entry, "blobId");
  if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
    file.sha256 = text_at(*lfs, "sha256");
    if (const int64_t size = size_at(*lfs, "size", where); size >= 0) file.size = size;
    if (!file.sha256.empty()) file.etag = file.sha256;
  }
  LM_CHECK(file.sha256.empty() || is_hex(file.sha256, 64), ErrorCode::bad_file,
           "{}: \"{}\" is no SHA-256", where, printable(file.sha256));
  LM_CHECK(file.etag.empty() || is_blob_name(file.etag), ErrorCode::bad_file,
           "{}: \"{}\" is no name of a blob", where, printable(file.etag));
  return file;
}

bool is_repo_part(std::string_view part) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  };
  return !part.empty() && part.size() <= 96 && std::all_of(part.begin(), part.end(), allowed) &&
         part.front() != '-' && part.front() != '.' && part.back() != '-' && part.back() != '.';
}

}  // namespace

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_blob_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
         });
}

void check_hub_repo(const HubRepo& repo) {
  const size_t slash = repo.id.find('/');
  const bool ok = slash == std::string::npos ? is_repo_part(repo.id)
                                             : is_repo_part(repo.id.substr(0, slash)) &&
                                                   is_repo_part(repo.id.substr(slash + 1));
  LM_CHECK(ok && repo.id.find("--") == std::string::npos && repo.id.find("..") == std::string::npos,
           ErrorCode::bad_option,
           "\"{}\" is no name of a repository; expected org/name of letters, digits, \"-\", \"_\" "
           "and \".\"",
           repo.id);
  LM_CHECK(
      is_safe_path(repo.revision) && repo.revision.find_first_of(" ~^:?*[@{") == std::string::npos,
      ErrorCode::bad_option, "\"{}\" is no revision; expected a branch, a tag or a commit",
      repo.revision);
}

HubListing parse_hub_listing(std::string_view json, const std::string& name) {
  LM_CHECK(is_valid_utf8(json), ErrorCode::bad_file, "{}: the answer is not UTF-8", name);
  const Json root = parse_json(json, name);
  LM_CHECK(root.is_object(), ErrorCode::bad_file, "{}: the answer is no JSON object", name);
  HubListing out;
  out.commit = text_at(root, "sha");
  LM_CHECK(is_hex(out.commit, 40), ErrorCode::bad_file,
           "{}: the answer names no commit (\"sha\" is \"{}\")", name, printable(out.commit));
  const auto card = root.find("cardData");
  if (card != root.end()) {
    out.license = licence_of(*card);
    if (out.license == "other" && !text_at(*card, "license_name").empty())
      out.license = text_at(*card, "license_name");
    out.license_link = printable(text_at(*card, "license_link"));
  }
  if (out.license.empty()) out.license = licence_in_tags(root);
  out.license = printable(out.license);
  const auto gated = root.find("gated");
  if (gated != root.end() && gated->is_string()) out.gated = printable(gated->get<std::string>());
  const auto siblings = root.find("siblings");
  LM_CHECK(siblings != root.end() && siblings->is_array() && siblings->size() <= kMaxFiles,
           ErrorCode::bad_file, "{}: the answer lists no files (or more than {})", name, kMaxFiles);
  std::set<std::string> seen;
  for (const Json& entry : *siblings) {
    LM_CHECK(entry.is_object(), ErrorCode::bad_file, "{}: an entry of the file list is no object",
             name);
    out.files.push_back(file_of(entry, name));
    LM_CHECK(seen.insert(out.files.back().path).second, ErrorCode::bad_file,
             "{}: the file list has \"{}\" twice", name, out.files.back().path);
  }
  return out;
}

}  // namespace lm
