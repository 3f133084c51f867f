#include "engine/data/parquet/column.h"

#include <algorithm>
#include <bit>

namespace lm::parquet {
namespace {

enum : int64_t { kData = 0, kDictionary = 2, kDataV2 = 3 };
constexpr int64_t kMostValues = int64_t{1} << 24;  // of a page

int width_of(int most) {
  return std::bit_width(static_cast<unsigned>(most));
}

// Levels of a v1 page: their bytes are counted in front.
std::vector<uint32_t> levels(Bytes& in, int most, size_t n) {
  if (most == 0) return std::vector<uint32_t>(n);
  Bytes part(in.take(in.fixed<uint32_t>()));
  return decode_runs(part, width_of(most), n);
}

}  // namespace

void Column::need() {
  if (!more()) damaged("a column has too few values");
}

int Column::repetition() {
  need();
  return static_cast<int>(repetitions_[at_]);
}

int Column::definition() {
  need();
  return static_cast<int>(definitions_[at_]);
}

Cell Column::take() {
  need();
  if (static_cast<int>(definitions_[at_++]) < leaf_.max_definition) return {};
  const size_t i = value_at_++;
  // Values of a dictionary may be many times as long as the page.
  return indices_.empty() ? std::move(values_[i]) : dictionary_[indices_[i]];
}

bool Column::load_page() {
  while (left_ > 0) {
    const size_t before = in_.used();
    Bytes rest = in_;
    size_t used = 0;
    const Value header = read_struct(rest.take(rest.left()), &used);
    in_.take(used);
    const int64_t size = header.at(2).number, packed_size = header.at(3).number;
    if (size < 0 || size > static_cast<int64_t>(kMostBytes) || packed_size < 0)
      damaged("a page has an impossible size");
    const auto packed = in_.take(static_cast<uint64_t>(packed_size));
    const auto n = static_cast<size_t>(size);
    const int64_t type = header.at(1).number;
    if (in_.used() == before) damaged("a page has no bytes");
    if (type == kDictionary) read_dictionary(header.at(7), packed, n);
    if (type == kData) read_data(header.at(5), packed, n);
    if (type == kDataV2) read_data_v2(header.at(8), packed, n);
    if ((type == kData || type == kDataV2) && !definitions_.empty()) return true;
  }
  return false;
}

size_t Column::check_count(int64_t n) {
  if (n < 0 || n > left_ || n > kMostValues) damaged("a page has an impossible number of values");
  return static_cast<size_t>(n);
}

void Column::read_dictionary(const Value& header, std::span<const std::byte> packed, size_t size) {
  const int64_t n = header.at(1).number;
  if (n < 0 || n > kMostValues) damaged("a dictionary has an impossible size");
  const std::vector<std::byte> page = unpack(codec_, packed, size);
  Bytes in(page);
  dictionary_ = decode_values(in, Encoding::plain, leaf_, static_cast<size_t>(n));
  has_dictionary_ = true;
}

void Column::read_data(const Value& header, std::span<const std::byte> packed, size_t size) {
  const size_t n = check_count(header.at(1).number);
  const std::vector<std::byte> page = unpack(codec_, packed, size);
  Bytes in(page);
  repetitions_ = levels(in, leaf_.max_repetition, n);
  definitions_ = levels(in, leaf_.max_definition, n);
  read_values(in, static_cast<Encoding>(header.at(2).number));
}

void Column::read_data_v2(const Value& header, std::span<const std::byte> packed, size_t size) {
  const size_t n = check_count(header.at(1).number);
  const auto n_definition = static_cast<uint64_t>(header.at(5).number);
  const auto n_repetition = static_cast<uint64_t>(header.at(6).number);
  Bytes front(packed);
  Bytes repetition(front.take(n_repetition)), definition(front.take(n_definition));
  repetitions_ = leaf_.max_repetition == 0
                     ? std::vector<uint32_t>(n)
                     : decode_runs(repetition, width_of(leaf_.max_repetition), n);
  definitions_ = leaf_.max_definition == 0
                     ? std::vector<uint32_t>(n)
                     : decode_runs(definition, width_of(leaf_.max_definition), n);
  const uint64_t levels_size = n_repetition + n_definition;
  if (levels_size > size) damaged("a page has an impossible size");
  const bool is_packed = header.number_or(7, 1) != 0;
  const auto rest = front.take(front.left());
  const std::vector<std::byte> page =
      unpack(is_packed && !rest.empty() ? codec_ : 0, rest, size - levels_size);
  Bytes in(page);
  read_values(in, static_cast<Encoding>(header.at(4).number));
}

void Column::read_values(Bytes& in, Encoding encoding) {
  at_ = value_at_ = 0;
  left_ -= static_cast<int64_t>(definitions_.size());
  const auto present = static_cast<size_t>(std::count(definitions_.begin(), definitions_.end(),
                                                      static_cast<uint32_t>(leaf_.max_definition)));
  for (const uint32_t level : definitions_)
    if (level > static_cast<uint32_t>(leaf_.max_definition)) damaged("a level is too high");
  values_.clear();
  indices_.clear();
  if (encoding != Encoding::plain_dictionary && encoding != Encoding::rle_dictionary) {
    values_ = decode_values(in, encoding, leaf_, present);
    return;
  }
  if (present == 0) return;
  if (!has_dictionary_) damaged("a page has no dictionary");
  const int width = in.byte();
  indices_ = decode_runs(in, width, present);
  for (const uint32_t index : indices_)
    if (index >= dictionary_.size()) damaged("a value is not in the dictionary");
}

}  // namespace lm::parquet
