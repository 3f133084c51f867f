// Rows of Parquet files as JSON texts. Source: apache/parquet-format (README.md, Encodings.md,
// LogicalTypes.md, parquet.thrift).
#pragma once

#include <functional>
#include <span>
#include <string>

#include "engine/data/row_reader.h"

namespace lm {

// Calls f(row) for every row until f says false; one page of each column is in memory at a time.
// Groups become objects, lists lists, maps objects. Columns with values that JSON has no place for
// (INT96, FIXED_LEN_BYTE_ARRAY) are left out. Pages: PLAIN, dictionary, RLE and the DELTA
// encodings; plain, Snappy, gzip and zstd. Throws bad_file, unsupported (another codec or
// encoding), io, interrupted.
void read_parquet(const std::string& file, const std::function<bool(const SourceRow&)>& f);
// The same for bytes in memory; `name` is used in messages.
void read_parquet(std::span<const std::byte> bytes, const std::string& name,
                  const std::function<bool(const SourceRow&)>& f);

}  // namespace lm
