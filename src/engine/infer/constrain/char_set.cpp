#include "engine/infer/constrain/char_set.h"

#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>

namespace lm {
namespace {

constexpr uint32_t kLast = 0x10FFFF;

// The part of a set whose UTF-8 has a given length and beginning, as what follows that beginning.
// first, last: the code points that begin so; each of the `left` bytes to come has six bits.
ExprId tails(Grammar& g, const std::vector<CharSet::Range>& ranges, uint32_t first, uint32_t last,
             int left, const ExprId* full) {
  const auto r = std::lower_bound(ranges.begin(), ranges.end(), first,
                                  [](const auto& range, uint32_t c) { return range.second < c; });
  if (r == ranges.end() || r->first > last) return kNothing;
  if (r->first <= first && r->second >= last) return full[left];
  const uint32_t step = 1u << (6 * (left - 1));
  std::map<ExprId, ByteSet> by_tail;
  for (uint32_t i = 0; i < 64; ++i) {
    const uint32_t begin = first + i * step;
    const ExprId tail = left == 1
                            ? (std::any_of(r, ranges.end(),
                                           [&](const auto& range) {
                                             return range.first <= begin && begin <= range.second;
                                           })
                                   ? kEpsilon
                                   : kNothing)
                            : tails(g, ranges, begin, begin + step - 1, left - 1, full);
    if (tail != kNothing) by_tail[tail].add(static_cast<uint8_t>(0x80 + i));
  }
  std::vector<ExprId> ways;
  for (const auto& [tail, bytes] : by_tail) ways.push_back(g.concat(g.bytes(bytes), tail));
  return g.alt(std::move(ways));
}

CharSet of_categories(std::initializer_list<int> categories) {
  CharSet set;
  uint32_t begin = 0;
  bool inside = false;
  for (uint32_t c = 0; c <= kLast + 1; ++c) {
    const bool member =
        c <= kLast &&
        std::find(categories.begin(), categories.end(),
                  utf8proc_category(static_cast<utf8proc_int32_t>(c))) != categories.end();
    if (member && !inside) begin = c;
    if (!member && inside) set.add(begin, c - 1);
    inside = member;
  }
  return set;
}

struct Category {
  const char *name, *long_name;
  std::initializer_list<int> members;
};
const Category kCategories[] = {
    {"L",
     "Letter",
     {UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL, UTF8PROC_CATEGORY_LT, UTF8PROC_CATEGORY_LM,
      UTF8PROC_CATEGORY_LO}},
    {"Lu", "Uppercase_Letter", {UTF8PROC_CATEGORY_LU}},
    {"Ll", "Lowercase_Letter", {UTF8PROC_CATEGORY_LL}},
    {"Lt", "Titlecase_Letter", {UTF8PROC_CATEGORY_LT}},
    {"Lm", "Modifier_Letter", {UTF8PROC_CATEGORY_LM}},
    {"Lo", "Other_Letter", {UTF8PROC_CATEGORY_LO}},
    {"M", "Mark", {UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_MC, UTF8PROC_CATEGORY_ME}},
    {"Mn", "Nonspacing_Mark", {UTF8PROC_CATEGORY_MN}},
    {"Mc", "Spacing_Mark", {UTF8PROC_CATEGORY_MC}},
    {"Me", "Enclosing_Mark", {UTF8PROC_CATEGORY_ME}},
    {"N", "Number", {UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NL, UTF8PROC_CATEGORY_NO}},
    {"Nd", "Decimal_Number", {UTF8PROC_CATEGORY_ND}},
    {"Nl", "Letter_Number", {UTF8PROC_CATEGORY_NL}},
    {"No", "Other_Number", {UTF8PROC_CATEGORY_NO}},
    {"P",
     "Punctuation",
     {UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PD, UTF8PROC_CATEGORY_PS, UTF8PROC_CATEGORY_PE,
      UTF8PROC_CATEGORY_PI, UTF8PROC_CATEGORY_PF, UTF8PROC_CATEGORY_PO}},
    {"Pc", "Connector_Punctuation", {UTF8PROC_CATEGORY_PC}},
    {"Pd", "Dash_Punctuation", {UTF8PROC_CATEGORY_PD}},
    {"Ps", "Open_Punctuation", {UTF8PROC_CATEGORY_PS}},
    {"Pe", "Close_Punctuation", {UTF8PROC_CATEGORY_PE}},
    {"Pi", "Initial_Punctuation", {UTF8PROC_CATEGORY_PI}},
    {"Pf", "Final_Punctuation", {UTF8PROC_CATEGORY_PF}},
    {"Po", "Other_Punctuation", {UTF8PROC_CATEGORY_PO}},
    {"S",
     "Symbol",
     {UTF8PROC_CATEGORY_SM, UTF8PROC_CATEGORY_SC, UTF8PROC_CATEGORY_SK, UTF8PROC_CATEGORY_SO}},
    {"Sm", "Math_Symbol", {UTF8PROC_CATEGORY_SM}},
    {"Sc", "Currency_Symbol", {UTF8PROC_CATEGORY_SC}},
    {"Sk", "Modifier_Symbol", {UTF8PROC_CATEGORY_SK}},
    {"So", "Other_Symbol", {UTF8PROC_CATEGORY_SO}},
    {"Z", "Separator", {UTF8PROC_CATEGORY_ZS, UTF8PROC_CATEGORY_ZL, UTF8PROC_CATEGORY_ZP}},
    {"Zs", "Space_Separator", {UTF8PROC_CATEGORY_ZS}},
    {"Zl", "Line_Separator", {UTF8PROC_CATEGORY_ZL}},
    {"Zp", "Paragraph_Separator", {UTF8PROC_CATEGORY_ZP}},
    {"C",
     "Other",
     {UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CF, UTF8PROC_CATEGORY_CS, UTF8PROC_CATEGORY_CO,
      UTF8PROC_CATEGORY_CN}},
    {"Cc", "Control", {UTF8PROC_CATEGORY_CC}},
    {"Cf", "Format", {UTF8PROC_CATEGORY_CF}},
    {"Alphabetic",
     "Alpha",
     {UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL, UTF8PROC_CATEGORY_LT, UTF8PROC_CATEGORY_LM,
      UTF8PROC_CATEGORY_LO, UTF8PROC_CATEGORY_NL}},
};

// Blocks and ranges of the scripts that patterns name (Unicode 15, Scripts.txt, the assigned core).
struct Script {
  const char* name;
  std::initializer_list<CharSet::Range> ranges;
};
const Script kScripts[] = {
    {"Latin",
     {{0x41, 0x5A},
      {0x61, 0x7A},
      {0xAA, 0xAA},
      {0xBA, 0xBA},
      {0xC0, 0xD6},
      {0xD8, 0xF6},
      {0xF8, 0x2B8},
      {0x1E00, 0x1EFF},
      {0x2C60, 0x2C7F},
      {0xA722, 0xA787},
      {0xFF21, 0xFF3A},
      {0xFF41, 0xFF5A}}},
    {"Greek",
     {{0x370, 0x373},
      {0x375, 0x377},
      {0x37A, 0x37D},
      {0x37F, 0x37F},
      {0x384, 0x384},
      {0x386, 0x386},
      {0x388, 0x38A},
      {0x38C, 0x38C},
      {0x38E, 0x3A1},
      {0x3A3, 0x3E1},
      {0x3F0, 0x3FF},
      {0x1F00, 0x1FFE}}},
    {"Cyrillic",
     {{0x400, 0x484}, {0x487, 0x52F}, {0x1C80, 0x1C88}, {0x2DE0, 0x2DFF}, {0xA640, 0xA69F}}},
    {"Han",
     {{0x2E80, 0x2FD5},
      {0x3005, 0x3005},
      {0x3007, 0x3007},
      {0x3021, 0x3029},
      {0x3038, 0x303B},
      {0x3400, 0x4DBF},
      {0x4E00, 0x9FFF},
      {0xF900, 0xFAD9},
      {0x20000, 0x323AF}}},
    {"Hiragana", {{0x3041, 0x3096}, {0x309D, 0x309F}, {0x1B001, 0x1B11F}}},
    {"Katakana",
     {{0x30A1, 0x30FA}, {0x30FD, 0x30FF}, {0x31F0, 0x31FF}, {0xFF66, 0xFF6F}, {0xFF71, 0xFF9D}}},
    {"Hangul",
     {{0x1100, 0x11FF}, {0x3131, 0x318E}, {0xA960, 0xA97C}, {0xAC00, 0xD7A3}, {0xD7B0, 0xD7FB}}},
    {"Arabic",
     {{0x600, 0x604},
      {0x606, 0x60B},
      {0x60D, 0x61A},
      {0x61C, 0x61E},
      {0x620, 0x63F},
      {0x641, 0x64A},
      {0x656, 0x66F},
      {0x671, 0x6DC},
      {0x6DE, 0x6FF},
      {0x750, 0x77F}}},
    {"Hebrew", {{0x591, 0x5C7}, {0x5D0, 0x5EA}, {0x5EF, 0x5F4}, {0xFB1D, 0xFB4F}}},
    {"Thai", {{0xE01, 0xE3A}, {0xE40, 0xE5B}}},
    {"Devanagari", {{0x900, 0x950}, {0x955, 0x963}, {0x966, 0x97F}, {0xA8E0, 0xA8FF}}},
};

std::optional<CharSet> find_property(std::string_view name) {
  for (const Category& c : kCategories)
    if (name == c.name || name == c.long_name) return of_categories(c.members);
  for (const Script& s : kScripts)
    if (name == s.name) return CharSet(s.ranges);
  if (name == "Any") return CharSet{{0, kLast}};
  if (name == "ASCII") return CharSet{{0, 0x7F}};
  if (name == "digit") return of_categories({UTF8PROC_CATEGORY_ND});
  if (name == "White_Space" || name == "space")
    return CharSet{{9, 13},          {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
                   {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                   {0x205F, 0x205F}, {0x3000, 0x3000}};
  return std::nullopt;
}

}  // namespace

void CharSet::add(uint32_t first, uint32_t last) {
  if (first > last) return;
  ranges_.emplace_back(first, last);
  normal_ = false;
}

void CharSet::add(const CharSet& other) {
  for (const auto& [first, last] : other.ranges()) add(first, last);
}

void CharSet::normalize() const {
  if (normal_) return;
  std::sort(ranges_.begin(), ranges_.end());
  std::vector<Range> merged;
  for (const auto& [first, last] : ranges_) {
    if (!merged.empty() && first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, last);
    } else {
      merged.emplace_back(first, last);
    }
  }
  ranges_ = std::move(merged);
  normal_ = true;
}

const std::vector<CharSet::Range>& CharSet::ranges() const {
  normalize();
  return ranges_;
}

CharSet CharSet::inverted() const {
  CharSet out;
  uint32_t next = 0;
  for (const auto& [first, last] : ranges()) {
    if (first > next) out.add(next, first - 1);
    next = last + 1;
  }
  if (next <= kLast) out.add(next, kLast);
  return out;
}

bool CharSet::has(uint32_t c) const {
  for (const auto& [first, last] : ranges())
    if (first <= c && c <= last) return true;
  return false;
}

void CharSet::fold_case() {
  const std::vector<Range> before = ranges();
  for (const auto& [first, last] : before) {
    if (last - first > 0x3000) continue;  // complements and whole scripts hold both cases anyway
    for (uint32_t c = first; c <= last; ++c) {
      const auto code = static_cast<utf8proc_int32_t>(c);
      for (const utf8proc_int32_t other : {utf8proc_tolower(code), utf8proc_toupper(code)})
        if (other != code) add(static_cast<uint32_t>(other), static_cast<uint32_t>(other));
    }
  }
}

ExprId CharSet::expression(Grammar& g) const {
  CharSet valid;  // without surrogates
  for (const auto& [first, last] : ranges()) {
    if (first < 0xD800) valid.add(first, std::min(last, 0xD7FFu));
    if (last > 0xDFFF) valid.add(std::max(first, 0xE000u), std::min(last, kLast));
  }
  const auto& all = valid.ranges();
  const ExprId tail = g.bytes(ByteSet::range(0x80, 0xBF));
  const ExprId full[4] = {kEpsilon, tail, g.concat(tail, tail), g.concat({tail, tail, tail})};
  ByteSet ascii;
  for (uint32_t c = 0; c < 0x80; ++c)
    if (valid.has(c)) ascii.add(static_cast<uint8_t>(c));
  std::map<ExprId, ByteSet> by_tail;
  const auto lead = [&](uint32_t byte, uint32_t first, uint32_t last, int left) {
    const ExprId e = tails(g, all, first, last, left, full);
    if (e != kNothing) by_tail[e].add(static_cast<uint8_t>(byte));
  };
  // The first code points that begin so may belong to shorter forms or be surrogates: what is
  // outside the ranges falls out, but a full range must be made of what is well-formed.
  CharSet part;
  for (uint32_t b = 0xC2; b <= 0xDF; ++b) lead(b, (b & 0x1F) << 6, ((b & 0x1F) << 6) + 0x3F, 1);
  for (uint32_t b = 0xE1; b <= 0xEF; ++b) lead(b, (b & 0xF) << 12, ((b & 0xF) << 12) + 0xFFF, 2);
  for (uint32_t b = 0xF1; b <= 0xF3; ++b) lead(b, (b & 7) << 18, ((b & 7) << 18) + 0x3FFFF, 3);
  const auto cut = [&](uint32_t byte, uint32_t first, uint32_t last, uint32_t block, int left) {
    CharSet inside;
    for (const auto& [a, z] : all)
      if (a <= last && z >= first) inside.add(std::max(a, first), std::min(z, last));
    if (inside.ranges().empty()) return;
    const ExprId e = tails(g, inside.ranges(), block, block + (1u << (6 * left)) - 1, left, full);
    by_tail[e].add(static_cast<uint8_t>(byte));
  };
  cut(0xE0, 0x800, 0xFFF, 0, 2);
  cut(0xF0, 0x10000, 0x3FFFF, 0, 3);
  cut(0xF4, 0x100000, kLast, 0x100000, 3);
  std::vector<ExprId> ways{g.bytes(ascii)};
  for (const auto& [e, bytes] : by_tail) ways.push_back(g.concat(g.bytes(bytes), e));
  return g.alt(std::move(ways));
}

std::optional<CharSet> unicode_property(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string, std::optional<CharSet>, std::less<>> known;
  const std::lock_guard lock(mutex);
  for (const std::string_view prefix :
       {"gc=", "General_Category=", "sc=", "Script=", "scx=", "Script_Extensions=", "Is"})
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  const auto found = known.find(name);
  if (found != known.end()) return found->second;
  auto set = find_property(name);
  if (set) {
    (void)set->ranges();
    known.emplace(std::string(name), set);
  }
  return set;
}

ExprId any_char(Grammar& g) {
  if (g.free_char == kNothing) {
    g.free_char = CharSet{{0, kLast}}.expression(g);
    g.free_text = g.repeat(g.free_char, 0, kUnbounded);
  }
  return g.free_char;
}

ExprId any_text(Grammar& g) {
  any_char(g);
  return g.free_text;
}

}  // namespace lm
