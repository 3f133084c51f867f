#include "engine/text/tool_calls/parser.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

namespace lm {
namespace {

using Part = ToolCallFormat::Part;
using Arguments = ToolCallFormat::Arguments;
using Unmarked = ToolCallParser::Options::Unmarked;
using tool_calls::ObjectReader;

constexpr std::string_view kSpaces = " \t\r\n";
constexpr size_t kMostLanguage = 16;  // behind a fence

}  // namespace

namespace tool_calls {

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == text.npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin));
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.' || c == '/';
}

}  // namespace tool_calls

using tool_calls::is_name;
using tool_calls::kMostBetween;
using tool_calls::trimmed;

ToolCallParser::Impl::Impl(const ToolCallFormat& format, Options options)
    : f_(format),
      options_(std::move(options)),
      tools_(tool_calls::read_tools(options_.tools)),
      marker_(format.marker()),
      separator_(trimmed(format.separator)),
      section_end_(trimmed(format.section_end)) {
  if (f_.parts.front().kind == Part::Kind::text) before_ = f_.parts.front().text;
  object_ = f_.arguments == Arguments::json && (!f_.name_key.empty() || before_.ends_with("{\""));
  if (f_.parts.back().kind == Part::Kind::text) after_ = f_.parts.back().text;
  if (object_) {  // the reader takes the object's brackets
    before_.resize(std::min(before_.find('{'), before_.size()));
    after_.erase(0, after_.rfind('}') == after_.npos ? 0 : after_.rfind('}') + 1);
  }
  for (size_t i = 1; i < f_.parts.size(); ++i)
    if (f_.parts[i - 1].kind == Part::Kind::name && f_.parts[i].kind == Part::Kind::text)
      name_end_ = trimmed(f_.parts[i].text);
  before_ = trimmed(before_);
  after_ = trimmed(after_);
  if (options_.in_reasoning) at_ = At::reasoning;
}

std::vector<ToolCallEvent> ToolCallParser::Impl::run(std::string_view text, bool over) {
  buffer_ += text;
  over_ = over;
  while (!buffer_.empty() && step()) {
  }
  if (over) {
    if (at_ == At::object && reader_ && reader_->finish()) {
      end_call(true);
    } else if (in_call_) {
      end_call(false);
    } else if (n_calls_ > 0 && raw_ == marker_ && buffer_.empty()) {
      raw_.clear();  // another call was about to begin
    } else if (!raw_.empty()) {
      give_up();
      while (!buffer_.empty() && step()) {
      }
    }
    if (n_calls_ == 0) emit(Kind::content, space_);
    space_.clear();
  }
  return std::exchange(events_, {});
}

bool ToolCallParser::Impl::step() {
  switch (at_) {
    case At::start:
      return start();
    case At::reasoning:
      return reasoning();
    case At::content:
      return content();
    case At::call:
      return call();
    case At::object:
      return object();
    case At::name:
      return name();
    case At::arguments:
      return arguments();
    case At::behind:
      return behind();
  }
  return false;
}

void ToolCallParser::Impl::emit(Kind kind, std::string_view text) {
  if (text.empty()) return;
  const size_t index = kind == Kind::arguments ? n_calls_ - 1 : 0;
  if (!events_.empty() && events_.back().kind == kind && events_.back().index == index) {
    events_.back().text += text;
    return;
  }
  ToolCallEvent e;
  e.kind = kind;
  e.text = text;
  e.index = index;
  events_.push_back(std::move(e));
}

// White space before and behind calls belongs to them.
void ToolCallParser::Impl::emit_content(std::string_view text) {
  if (text.empty()) return;
  for (const char c : text) {
    const bool space = kSpaces.find(c) != kSpaces.npos;
    said_here_ = said_here_ || !space;
    line_start_ =
        c == '\n' || (line_start_ && space && (options_.unmarked == Unmarked::any || !said_here_));
  }
  const size_t last = text.find_last_not_of(kSpaces);
  if (last == text.npos) {
    space_ += text;
    return;
  }
  if (n_calls_ > 0 && !said_) space_.clear();
  said_ = true;
  emit(Kind::content, std::exchange(space_, {}));
  emit(Kind::content, text.substr(0, last + 1));
  space_ = text.substr(last + 1);
}

void ToolCallParser::Impl::begin_call(const std::string& name, const std::string& id) {
  ToolCallEvent e;
  e.kind = Kind::begin;
  e.index = n_calls_++;
  e.name = name;
  e.id = id;
  events_.push_back(std::move(e));
  in_call_ = true;
  space_.clear();
  raw_.clear();
}

void ToolCallParser::Impl::end_call(bool complete) {
  ToolCallEvent e;
  e.kind = Kind::end;
  e.index = n_calls_ - 1;
  e.complete = complete;
  events_.push_back(std::move(e));
  in_call_ = said_ = false;
  reader_.reset();
  at_ = At::behind;
}

void ToolCallParser::Impl::give_up() {
  reader_.reset();
  in_fence_ = listed_ = false;
  at_ = At::content;
  // The first character cannot begin a call; what follows may.
  size_t n = 1;
  while (n < raw_.size() && (raw_[n] & 0xC0) == 0x80) ++n;
  buffer_.insert(0, std::exchange(raw_, {}));
  emit_content(buffer_.substr(0, n));
  take(n);
  line_start_ = false;
}

bool ToolCallParser::Impl::is_tool(const std::string& name) const {
  return std::any_of(tools_.begin(), tools_.end(), [&](const auto& t) { return t.name == name; });
}

const std::string& ToolCallParser::Impl::schema_of(const std::string& name) const {
  static const std::string none = "{}";
  for (const auto& tool : tools_)
    if (tool.name == name) return tool.schema;
  return none;
}

size_t ToolCallParser::Impl::skip_space(size_t at) const {
  return std::min(buffer_.find_first_not_of(kSpaces, at), buffer_.size());
}

std::optional<bool> ToolCallParser::Impl::stands(std::string_view text, size_t at) const {
  const std::string_view here = std::string_view(buffer_).substr(std::min(at, buffer_.size()));
  if (here.starts_with(text)) return true;
  if (!over_ && text.starts_with(here)) return std::nullopt;
  return false;
}

bool ToolCallParser::Impl::start() {
  const size_t at = skip_space(0);
  if (at == buffer_.size() && !over_) return false;
  if (!f_.reasoning_begin.empty() || !f_.reasoning_end.empty()) {
    const auto thinks = stands(trimmed(f_.reasoning_begin), at);
    if (!thinks) return false;
    if (*thinks && at < buffer_.size()) {
      take(at + trimmed(f_.reasoning_begin).size());
      at_ = At::reasoning;
      return true;
    }
  }
  at_ = At::content;
  return true;
}

// The longest end of `text` that may be the beginning of `what`.
static size_t open_end(std::string_view text, std::string_view what) {
  for (size_t n = std::min(what.size() - 1, text.size()); n > 0; --n)
    if (what.starts_with(text.substr(text.size() - n))) return n;
  return 0;
}

bool ToolCallParser::Impl::reasoning() {
  const std::string end = trimmed(f_.reasoning_end);
  const size_t found = buffer_.find(end);
  if (found != buffer_.npos) {
    emit(Kind::reasoning, std::string_view(buffer_).substr(0, found));
    take(found + end.size());
    at_ = At::content;
    space_.clear();
    line_start_ = true;
    return true;
  }
  const size_t held = over_ ? 0 : open_end(buffer_, end);
  emit(Kind::reasoning, std::string_view(buffer_).substr(0, buffer_.size() - held));
  take(buffer_.size() - held);
  return false;
}

bool ToolCallParser::Impl::content() {
  const auto pass_on = [&](size_t n) {
    emit_content(buffer_.substr(0, n));
    take(n);
  };
  if (!options_.calls) {
    pass_on(buffer_.size());
    return true;
  }
  // Where something may begin: a marker, or at the beginning of a line an object or a fence.
  bool line = line_start_, said = said_here_;
  for (size_t i = 0; i < buffer_.size(); ++i) {
    if (!marker_.empty() && buffer_[i] == marker_[0]) {
      const auto found = stands(marker_, i);
      if (!found) {
        pass_on(i);
        return false;
      }
      if (*found) {
        pass_on(i);
        raw_ = marker_;
        take(marker_.size());
        at_ = At::call;
        return true;
      }
    }
    const bool first = line, space = kSpaces.find(buffer_[i]) != kSpaces.npos;
    said = said || !space;
    line = buffer_[i] == '\n' || (line && space && (options_.unmarked == Unmarked::any || !said));
    if (!first || options_.unmarked == Unmarked::none || tools_.empty()) continue;
    const auto object = bare_object(i);
    if (object && *object == buffer_.npos) continue;
    pass_on(i);
    if (!object) return false;
    in_fence_ = buffer_[0] == '`';
    raw_ = buffer_.substr(0, *object - i);
    take(*object - i);
    listed_ = raw_.find('[') != raw_.npos;
    start_object(false);
    return true;
  }
  pass_on(buffer_.size());
  return true;
}

// Where the object stands that begins at `at`, perhaps in a fence or list; npos: nowhere; nothing:
// more text is needed.
std::optional<size_t> ToolCallParser::Impl::bare_object(size_t at) const {
  const auto wait = over_ ? std::optional(buffer_.npos) : std::nullopt;
  const bool any = options_.unmarked == Unmarked::any;
  if (buffer_[at] == '`') {
    const auto fence = stands("```", at);
    if (!fence) return wait;
    if (!*fence) return buffer_.npos;
    at += 3;
    const size_t begin = at;
    while (at < buffer_.size() && is_name(buffer_[at])) ++at;
    if (at - begin > kMostLanguage) return buffer_.npos;
    if (at == buffer_.size()) return wait;
    if (!any && buffer_[at] != '\n') return buffer_.npos;
    at = any ? skip_space(at) : at + 1;
    if (at == buffer_.size()) return wait;
  }
  if (!any) {
    bool maybe = false;
    for (const bool in_list : {false, true})
      for (const std::string& opening : tool_calls::unmarked_openings(f_.name_key, in_list)) {
        const auto found = stands(opening, at);
        if (found.value_or(false)) return at + opening.find('{');
        maybe = maybe || !found;
      }
    return maybe ? wait : buffer_.npos;
  }
  if (buffer_[at] == '[') {
    at = skip_space(at + 1);
    if (at == buffer_.size()) return wait;
  }
  return buffer_[at] == '{' ? at : buffer_.npos;
}

void ToolCallParser::Impl::start_object(bool marked) {
  reader_.emplace(
      f_, [this](const std::string& name) { return is_tool(name); }, marked,
      ObjectReader::Sink{
          [this](const std::string& name, const std::string& id) { begin_call(name, id); },
          [this](const std::string& piece) { emit(Kind::arguments, piece); }});
  at_ = At::object;
}

// Behind a marker: the list, fence or tag that a call may stand in, then the call.
bool ToolCallParser::Impl::call() {
  const auto skip = [&](size_t n) {
    raw_ += buffer_.substr(0, n);
    take(n);
    return true;
  };
  if (const size_t space = skip_space(0); space > 0) return skip(space);
  if (!before_.empty() && !marker_.ends_with(before_)) {
    const auto tag = stands(before_, 0);
    if (!tag) return false;
    if (*tag) {
      skip(before_.size());
      if (!object_) at_ = At::name;
      return true;
    }
  }
  if (!object_) {
    at_ = At::name;
    return true;
  }
  if (buffer_[0] == '[') {
    listed_ = true;
    return skip(1);
  }
  if (buffer_[0] == '`') {
    const auto fence = stands("```", 0);
    if (!fence) return false;
    size_t at = 3;
    while (at < buffer_.size() && is_name(buffer_[at])) ++at;
    if (*fence && at == buffer_.size() && !over_) return false;
    if (*fence) {
      in_fence_ = true;
      return skip(at);
    }
  }
  if (buffer_[0] != '{') {
    give_up();
    return true;
  }
  start_object(true);
  return true;
}

bool ToolCallParser::Impl::object() {
  for (size_t i = 0; i < buffer_.size(); ++i) {
    const auto status = reader_->push(buffer_[i]);
    if (status == ObjectReader::Status::more) {
      if (!reader_->begun()) raw_ += buffer_[i];
      continue;
    }
    const bool done = status == ObjectReader::Status::done;
    if (done || reader_->begun()) {
      take(done ? i + 1 : i);
      end_call(done);
      if (!done) at_ = At::content;
      return true;
    }
    take(i);
    give_up();
    return true;
  }
  take(buffer_.size());
  return true;
}

bool ToolCallParser::Impl::name() {
  size_t at = skip_space(0);
  const size_t begin = at;
  while (at < buffer_.size() && is_name(buffer_[at])) ++at;
  if (at == buffer_.size() && !over_ && at - begin <= kMostBetween) return false;
  name_ = buffer_.substr(begin, at - begin);
  if (name_.empty() || name_.size() > kMostBetween) {
    give_up();
    return true;
  }
  raw_ += buffer_.substr(0, at);
  take(at);
  first_member_ = true;
  depth_ = 0;
  in_string_ = escaped_ = false;
  at_ = At::arguments;
  return true;
}

// Behind a call: another one, the end of all, or text.
bool ToolCallParser::Impl::behind() {
  const size_t at = skip_space(0);
  if (at == buffer_.size()) {
    take(at);
    return true;
  }
  std::array<std::string_view, 5> known{after_, separator_, section_end_, in_fence_ ? "```" : "",
                                        listed_ ? "]" : ""};
  std::sort(known.begin(), known.end(), [](auto a, auto b) { return a.size() > b.size(); });
  for (const std::string_view text : known) {
    if (text.empty() || (f_.arguments == Arguments::python && text == ")")) continue;
    const auto found = stands(text, at);
    if (!found) return false;
    if (!*found) continue;
    // The beginning of the next call may be the separator itself.
    take(at + text.size());
    if (text == "```") in_fence_ = false;
    return true;
  }
  for (const std::string& text : {marker_, before_}) {
    if (text.empty()) continue;
    const auto found = stands(text, at);
    if (!found) return false;
    if (!*found) continue;
    raw_ = text;
    take(at + text.size());
    at_ = object_ || text == marker_ ? At::call : At::name;
    return true;
  }
  const char c = buffer_[at];
  if (c == ',' || c == ';') {
    take(at + 1);
    return true;
  }
  if ((object_ || listed_) && c == '{') {
    take(at);
    start_object(!marker_.empty() || listed_);
    return true;
  }
  if (f_.arguments == Arguments::python && is_name(c)) {
    take(at);
    at_ = At::name;
    return true;
  }
  in_fence_ = listed_ = false;
  at_ = At::content;
  line_start_ = options_.unmarked == Unmarked::any;
  take(at);
  return true;
}

ToolCallParser::ToolCallParser(const ToolCallFormat& format, Options options)
    : impl_(std::make_unique<Impl>(format, std::move(options))) {}
ToolCallParser::~ToolCallParser() = default;
std::vector<ToolCallEvent> ToolCallParser::push(std::string_view text) {
  return impl_->run(text, false);
}
std::vector<ToolCallEvent> ToolCallParser::finish() {
  return impl_->run({}, true);
}

std::string new_tool_call_id(const ToolCallFormat& format) {
  static constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  const bool has_ids = std::any_of(format.parts.begin(), format.parts.end(),
                                   [](const Part& p) { return p.kind == Part::Kind::id; });
  std::random_device random;
  std::string id = has_ids ? "" : "call_";
  for (int i = has_ids ? 9 : 24; i > 0; --i) id += kLetters[random() % kLetters.size()];
  return id;
}

}  // namespace lm
