// Differencing: what a template writes for one call and for two is cut at the probes' names, keys
// and values. (llama.cpp's autoparser does the same with other probes: ggml-org/llama.cpp,
// docs/autoparser.md.)
#include <algorithm>
#include <optional>
#include <utility>

#include "engine/api/tool_calls.h"
#include "engine/text/tool_calls/known.h"
#include "engine/text/tool_calls/probe.h"

namespace lm {

using tool_calls::ProbeStyle;

namespace {

using Part = ToolCallFormat::Part;
using Arguments = ToolCallFormat::Arguments;

// Stand for an id and for the number of a call, in texts that are compared.
constexpr char kIdMark = '\x01', kIndexMark = '\x02';

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t i = 0; (i = text.find(from, i)) != text.npos; i += to.size())
    text.replace(i, from.size(), to);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string with_marks(std::string text) {
  replace_all(text, tool_calls::kId1, std::string(1, kIdMark));
  replace_all(text, tool_calls::kId2, std::string(1, kIdMark));
  constexpr std::string_view kNumbered = "_id\": \"";
  for (size_t i = 0; (i = text.find(kNumbered, i)) != text.npos;) {
    i += kNumbered.size();
    if (i + 1 < text.size() && is_digit(text[i]) && text[i + 1] == '"') text[i] = kIndexMark;
  }
  if (text.size() > 1 && text[0] == ':' && is_digit(text[1])) text[1] = kIndexMark;
  return text;
}

size_t common_prefix(std::string_view a, std::string_view b) {
  size_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
  return n;
}
size_t common_suffix(std::string_view a, std::string_view b) {
  size_t n = 0;
  while (n < a.size() && n < b.size() && a[a.size() - 1 - n] == b[b.size() - 1 - n]) ++n;
  return n;
}

struct Region {
  size_t begin = 0, end = 0;
  Arguments kind = Arguments::json;
  ToolCallFormat::Tags tags;
};

// The end of the bracket that opens at `begin`; strings in double quotes are seen through.
size_t closing(std::string_view text, size_t begin) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"' && (i < 2 || text[i - 1] != '|')) {  // not of <|"|>
      in_string = true;
    } else if (c == '{' || c == '(') {
      ++depth;
    } else if ((c == '}' || c == ')') && --depth == 0) {
      return i + 1;
    }
  }
  return text.npos;
}

std::optional<Region> bracketed(std::string_view text, size_t open, Arguments kind) {
  Region r{open, closing(text, open), kind, {}};
  if (r.end == text.npos) return std::nullopt;
  if (kind == Arguments::python) ++r.begin, --r.end;  // the brackets belong to the call
  return r;
}

std::optional<Region> tagged(std::string_view text, size_t from, size_t k1) {
  Region r;
  r.kind = Arguments::tagged;
  const size_t v1 = text.find(tool_calls::kValue1, k1), k2 = text.find(tool_calls::kKey2, v1);
  const size_t v2 = text.find(tool_calls::kValue2, k2);
  if (v2 == text.npos || k2 == text.npos || v1 == text.npos) return std::nullopt;
  const auto behind = [](size_t at, const char* what) {
    return at + std::string_view(what).size();
  };
  const size_t k1_end = behind(k1, tool_calls::kKey1), v1_end = behind(v1, tool_calls::kValue1);
  const size_t k2_end = behind(k2, tool_calls::kKey2), v2_end = behind(v2, tool_calls::kValue2);
  const size_t open = text.rfind('<', k1);
  if (open == text.npos || open < from) return std::nullopt;
  r.begin = open;
  r.tags.begin = text.substr(open, k1 - open);
  r.tags.string_value = text.substr(k1_end, v1 - k1_end);
  r.tags.other_value = text.substr(k2_end, v2 - k2_end);
  const std::string_view between = text.substr(v1_end, k2 - v1_end);
  if (!between.ends_with(r.tags.begin)) return std::nullopt;
  const std::string_view end = between.substr(0, between.size() - r.tags.begin.size());
  const size_t n = common_prefix(end, text.substr(v2_end));
  r.tags.end = end.substr(0, n);
  r.tags.separator = end.substr(n);
  r.end = v2_end + n;
  if (r.tags.end.empty()) return std::nullopt;
  return r;
}

// Where the arguments of the call whose name ends at `from` stand.
std::optional<Region> find_arguments(std::string_view text, size_t from) {
  const size_t k1 = text.find(tool_calls::kKey1, from);
  if (k1 == text.npos || k1 == 0) return std::nullopt;
  const size_t open = text.find_last_of("{(<", k1);
  if (open == text.npos || open < from) return std::nullopt;
  if (text[open] == '<') return tagged(text, from, k1);
  if (text[open] == '(') return bracketed(text, open, Arguments::python);
  return bracketed(text, open, text[k1 - 1] == '"' ? Arguments::json : Arguments::gemma);
}

void add_parts(std::vector<Part>* parts, std::string_view text) {
  std::string plain;
  const auto flush = [&] {
    if (!plain.empty()) parts->push_back({Part::Kind::text, std::exchange(plain, {})});
  };
  for (const char c : text) {
    if (c != kIdMark && c != kIndexMark) {
      plain += c;
      continue;
    }
    flush();
    parts->push_back({c == kIdMark ? Part::Kind::id : Part::Kind::index, {}});
  }
  flush();
}

std::string_view without_spaces_behind(std::string_view text) {
  const size_t last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == text.npos ? 0 : last + 1);
}

// The key of a JSON member whose value begins behind `text`, and what stands before the key's
// quote; empty: there is none.
std::string_view key_before(std::string_view text, std::string_view* before) {
  text = without_spaces_behind(text);
  if (!text.ends_with(':')) return {};
  text = without_spaces_behind(text.substr(0, text.size() - 1));
  if (text.size() < 2 || text.back() != '"') return {};
  const size_t open = text.rfind('"', text.size() - 2);
  if (open == text.npos) return {};
  *before = text.substr(0, open);
  return text.substr(open + 1, text.size() - open - 2);
}

// Keys of the JSON object that a call is. before: what a call begins with up to its name; middle:
// from there to the arguments; all: the whole call.
void find_keys(std::string_view before, std::string_view middle, std::string_view all,
               ToolCallFormat* f) {
  if (!before.ends_with('"')) return;
  before.remove_suffix(1);
  std::string_view rest;
  const std::string_view name = key_before(before, &rest);
  const size_t brace = rest.find_last_of("{}");
  if (name.empty() || brace == rest.npos || rest[brace] != '{') {
    if (without_spaces_behind(before).ends_with('{')) f->name_key.clear();
    return;
  }
  f->name_key = name;
  if (const auto key = key_before(middle, &rest); !key.empty()) f->arguments_key = key;
  for (size_t i = 0; i + 2 < all.size(); ++i) {
    if (all[i] != '"' || (all[i + 1] != kIdMark && all[i + 1] != kIndexMark) || all[i + 2] != '"')
      continue;
    const auto key = key_before(all.substr(0, i), &rest);
    if (key.empty()) continue;
    f->id_key = key;
    break;
  }
}

// Cuts what stands around calls into what belongs to each and what to all of them.
struct Around {
  std::string section_begin, before, after, separator, section_end;
};
Around cut(std::string_view head, std::string_view between, std::string_view tail) {
  Around a;
  size_t n = common_suffix(head, between);
  if (n < head.size()) {  // whole tags only
    const size_t tag = head.find_first_of("<[{\n ", head.size() - n);
    n = tag == head.npos ? 0 : head.size() - tag;
  }
  a.before = head.substr(head.size() - n);
  a.section_begin = head.substr(0, head.size() - n);
  between.remove_suffix(n);
  const size_t end = common_prefix(tail, between);
  a.after = tail.substr(0, end);
  a.section_end = tail.substr(end);
  a.separator = between.substr(end);
  return a;
}

std::string without_reasoning(const ToolCallFormat& f, std::string head) {
  const size_t end = f.reasoning_end.empty() ? head.npos : head.find(f.reasoning_end);
  if (end != head.npos) head.erase(0, end + f.reasoning_end.size());
  return head.erase(0, std::min(head.find_first_not_of(" \n"), head.size()));
}

bool derive(ToolCallFormat* f, const std::string& one, const std::optional<std::string>& two) {
  using namespace tool_calls;
  const size_t name = one.find(kProbeName), name_end = name + std::string_view(kProbeName).size();
  const auto arguments = find_arguments(one, name_end);
  if (!arguments) return false;
  f->arguments = arguments->kind;
  f->tags = arguments->tags;
  const std::string_view written =
      std::string_view(one).substr(arguments->begin, arguments->end - arguments->begin);
  f->any_space = f->arguments == Arguments::json && written.find('\n') != written.npos;
  const std::string head = without_reasoning(*f, with_marks(one.substr(0, name)));
  const std::string middle = with_marks(one.substr(name_end, arguments->begin - name_end));
  const std::string tail = with_marks(one.substr(arguments->end));
  Around a{"", head, tail, "", ""};
  f->parallel = false;
  if (two) {
    const size_t first = two->find(kProbeName), second = two->find(kProbeName2);
    const auto region = find_arguments(*two, first + std::string_view(kProbeName).size());
    if (second != two->npos && region && region->end <= second &&
        two->find(kProbeName2, second + 1) == two->npos) {
      const auto last = find_arguments(*two, second);
      const std::string end = last ? with_marks(two->substr(last->end)) : tail;
      a = cut(head, with_marks(two->substr(region->end, second - region->end)), end);
      // What stands between the calls must bring both to an end and begin anew.
      f->parallel = !a.before.empty() || !a.separator.empty();
      if (!f->parallel) a = {"", head, tail, "", ""};
    }
  }
  f->section_begin = a.section_begin;
  f->separator = a.separator;
  // Without a beginning there is no end: what stands there begins the next turn.
  if (!a.section_begin.empty()) f->section_end = a.section_end;
  add_parts(&f->parts, a.before);
  f->parts.push_back({Part::Kind::name, {}});
  add_parts(&f->parts, middle);
  f->parts.push_back({Part::Kind::arguments, {}});
  add_parts(&f->parts, a.after);
  if (f->arguments == Arguments::json)
    find_keys(a.before, middle, a.before + "\n" + middle + "\n" + a.after, f);
  // A bare name at the beginning could not be told from text.
  return !f->marker().empty() || !f->name_key.empty();
}

}  // namespace

ToolCallFormat find_tool_call_format(const ChatTemplate& chat, const std::string& bos,
                                     const std::string& eos) {
  ToolCallFormat f;
  if (const auto known = tool_calls::find_known(chat.source())) {
    f = *known;
    tool_calls::find_reasoning(chat.source(), &f);
    return f;
  }
  constexpr ProbeStyle kStyles[] = {{false, false}, {true, false}, {false, true}, {true, true}};
  for (const ProbeStyle style : kStyles) {
    ToolCallFormat found;
    found.family = "template";
    tool_calls::find_reasoning(chat.source(), &found);
    auto one = tool_calls::render_calls(chat, bos, eos, 1, style);
    auto two = tool_calls::render_calls(chat, bos, eos, 2, style);
    // Some templates go on behind the end of the turn.
    for (auto* text : {&one, &two})
      for (const std::string& end :
           {eos, std::string("<｜end▁of▁sentence｜>"), std::string("<|call|>")})
        if (*text && !end.empty()) (*text)->resize(std::min((*text)->find(end), (*text)->size()));
    if (!one || !derive(&found, *one, two)) continue;
    found.arguments_as_text = style.arguments_as_text;
    found.needs_null_content = style.null_content;
    return found;
  }
  f = tool_calls::generic_format();
  tool_calls::find_reasoning(chat.source(), &f);
  return f;
}

namespace {

std::string before_name(const ToolCallFormat& f) {
  std::string text = f.section_begin;
  for (const Part& part : f.parts) {
    if (part.kind != Part::Kind::text) break;
    text += part.text;
  }
  return text;
}

}  // namespace

std::string ToolCallFormat::marker() const {
  std::string text = before_name(*this);
  if (arguments == Arguments::json && (!name_key.empty() || text.ends_with("{\""))) {
    text.resize(std::min(text.find('{'), text.size()));
    // A list's bracket is no mark.
    while (!text.empty() && (text.back() == '[' || text.back() == ' ' || text.back() == '\n'))
      text.pop_back();
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.pop_back();
  return text;
}

std::vector<std::string> ToolCallFormat::marked_texts() const {
  std::vector<std::string> all{section_begin, separator, section_end};
  for (const Part& part : parts)
    if (part.kind == Part::Kind::text) all.push_back(part.text);
  for (const std::string& text :
       {tags.begin, tags.string_value, tags.other_value, tags.end, reasoning_begin, reasoning_end})
    all.push_back(text);
  if (arguments == Arguments::gemma) all.push_back("<|\"|>");
  all.erase(std::remove_if(all.begin(), all.end(), [](const auto& t) { return t.empty(); }),
            all.end());
  return all;
}

}  // namespace lm
