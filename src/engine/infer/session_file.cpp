#include "engine/infer/session_file.h"

#include <cstring>

#include "engine/core/crc32.h"
#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/core/output_file.h"
#include "engine/models/linear_list.h"

namespace lm {
namespace {

constexpr char kMagic[8] = {'L', 'M', 'S', 'E', 'S', 'S', '1', '\n'};

struct Header {
  char magic[8];
  uint32_t fingerprint, kv_type;
  uint64_t page_bytes, n_tokens, n_pages, n_state, n_source_tokens, n_source_pages, n_source,
      n_note;
};

// Writes and sums up.
class Writer {
 public:
  explicit Writer(const std::string& path) : file_(path) {}
  template <typename T>
  void write(std::span<const T> values) {
    const auto bytes = std::as_bytes(values);
    crc_ = crc32(bytes, crc_);
    file_.write(bytes);
  }
  void commit() {
    const uint32_t crc = crc_;
    file_.write(std::as_bytes(std::span(&crc, 1)));
    file_.commit();
  }

 private:
  OutputFile file_;
  uint32_t crc_ = 0;
};

class Reader {
 public:
  // Of a size that was checked before.
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <typename T>
  void read(T* out, size_t n) {
    if (n == 0) return;
    std::memcpy(out, bytes_.data() + at_, n * sizeof(T));
    at_ += n * sizeof(T);
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

Header header_of(const Sequence& s) {
  const PageList& pages = s.state.pages;
  Header h{};
  std::memcpy(h.magic, kMagic, sizeof(kMagic));
  h.fingerprint = fingerprint(s.model->weights());
  h.kv_type = static_cast<uint32_t>(pages.pool().type());
  h.page_bytes = pages.pool().page_bytes();
  h.n_tokens = s.tokens.size();
  h.n_pages = static_cast<uint64_t>(pages.size());
  h.n_state = s.state.recurrent.values().size();
  h.n_source_tokens = s.source.size();
  h.n_source_pages = static_cast<uint64_t>(s.state.source_pages.size());
  h.n_source = static_cast<uint64_t>(s.state.n_source);
  return h;
}

// Bytes of a file with this header; UINT64_MAX where numbers are out of reason.
uint64_t expected_size(const Header& h) {
  constexpr uint64_t kMost = uint64_t{1} << 32;
  for (const uint64_t n :
       {h.n_tokens, h.n_pages, h.n_state, h.n_source_tokens, h.n_source_pages, h.n_note})
    if (n >= kMost) return UINT64_MAX;
  if (h.page_bytes >= kMost || (h.n_pages + h.n_source_pages) * (h.page_bytes >> 10) >= kMost)
    return UINT64_MAX;
  return sizeof(Header) + 4 * (h.n_tokens + h.n_source_tokens + h.n_state) +
         (h.n_pages + h.n_source_pages) * h.page_bytes + h.n_note + 4;
}

void check(const Header& h, const Sequence& s, const std::string& path) {
  const Header own = header_of(s);
  const auto meta = static_cast<uint64_t>(s.model->spec().n_meta);
  LM_CHECK(h.fingerprint == own.fingerprint && h.n_state == own.n_state, ErrorCode::bad_option,
           "{} was saved with another model than \"{}\"", path, s.model->info().name);
  LM_CHECK(h.kv_type == own.kv_type && h.page_bytes == own.page_bytes, ErrorCode::bad_option,
           "{} has keys and values of another type than this model's ({})", path,
           s.model->info().kv_cache);
  LM_CHECK(h.n_tokens <= static_cast<uint64_t>(s.n_ctx), ErrorCode::bad_option,
           "{} has {} tokens, the context holds {}", path, h.n_tokens, s.n_ctx);
  const auto rows = static_cast<int64_t>(h.n_tokens + (h.n_tokens > 0 ? meta : 0));
  const auto source = static_cast<int64_t>(h.n_source);
  const int64_t most_source = s.model->spec().encoder ? s.model->spec().encoder->context_length : 0;
  LM_CHECK(static_cast<int64_t>(h.n_pages) == pages_for(rows) && source >= 0 &&
               source <= most_source &&
               static_cast<int64_t>(h.n_source_pages) == pages_for(source) &&
               h.n_source_tokens <= h.n_source,
           ErrorCode::bad_file, "{}: the numbers of tokens and pages contradict each other", path);
}

}  // namespace

void save_session(const Sequence& s, const std::string& note, const std::string& path) {
  LM_CHECK(s.image_rows.empty() && !s.adapters, ErrorCode::unsupported,
           "texts with images or adapters cannot be saved as sessions");
  Header h = header_of(s);
  h.n_note = note.size();
  Writer out(path);
  out.write(std::span<const Header>(&h, 1));
  out.write(std::span<const int32_t>(s.tokens));
  out.write(std::span<const int32_t>(s.source));
  out.write(std::span<const float>(s.state.recurrent.values()));
  for (const PageList* pages : {&s.state.pages, &s.state.source_pages})
    for (int64_t i = 0; i < pages->size(); ++i)
      out.write(std::span<const std::byte>(pages->at(i), h.page_bytes));
  out.write(std::span<const char>(note));
  out.commit();
}

std::string restore_session(Sequence& s, const std::string& path) {
  const MappedFile file(path);
  return restore_session(s, file.bytes(), path);
}

std::string restore_session(Sequence& s, std::span<const std::byte> bytes,
                            const std::string& path) {
  Header h;
  LM_CHECK(bytes.size() >= sizeof(Header) + 4, ErrorCode::bad_file,
           "{} is no session: it has {} bytes", path, bytes.size());
  std::memcpy(&h, bytes.data(), sizeof(Header));
  LM_CHECK(std::memcmp(h.magic, kMagic, sizeof(kMagic)) == 0, ErrorCode::bad_file,
           "{} is no session: it does not begin with LMSESS1", path);
  LM_CHECK(expected_size(h) == bytes.size(), ErrorCode::bad_file,
           "{} is damaged: it has {} bytes, its header says {}", path, bytes.size(),
           expected_size(h));
  uint32_t crc;
  std::memcpy(&crc, bytes.data() + bytes.size() - 4, 4);
  LM_CHECK(crc == crc32(bytes.first(bytes.size() - 4)), ErrorCode::bad_file,
           "{} is damaged: its checksum is wrong", path);
  check(h, s, path);
  s.drop();
  s.use_adapters();
  const auto vocab = s.model->spec().vocab_size;
  Reader in(bytes.subspan(sizeof(Header)));
  std::vector<int32_t> tokens(h.n_tokens), source(h.n_source_tokens);
  in.read(tokens.data(), tokens.size());
  in.read(source.data(), source.size());
  for (const int32_t id : tokens)
    LM_CHECK(id >= 0 && id < vocab, ErrorCode::bad_file,
             "{}: token id {} is outside the vocabulary 0..{}", path, id, vocab - 1);
  s.state.pages.resize(static_cast<int64_t>(h.n_pages));
  s.state.source_pages.resize(0);
  s.state.source_pages.resize(static_cast<int64_t>(h.n_source_pages));
  in.read(s.state.recurrent.values().data(), h.n_state);
  for (const PageList* pages : {&s.state.pages, &s.state.source_pages})
    for (int64_t i = 0; i < pages->size(); ++i) in.read(pages->at(i), h.page_bytes);
  std::string note(h.n_note, '\0');
  in.read(note.data(), note.size());
  s.tokens = std::move(tokens);
  s.source = std::move(source);
  s.state.n_source = static_cast<int64_t>(h.n_source);
  return note;
}

}  // namespace lm
