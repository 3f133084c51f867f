// One row of training data, whatever its file looked like.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

// Filled is one of: messages; prompt and completion; text; ids.
struct Example {
  std::string messages;          // JSON list of {role, content, tool_calls ...}
  std::string tools;             // JSON list of tool definitions, or empty
  std::vector<int8_t> train_on;  // of each message: 1 train, 0 do not, -1 by its role
  std::string prompt, completion;
  std::string text;
  std::vector<int32_t> ids;  // tokens as they are, and whether each is trained on (0 or 1)
  std::vector<uint8_t> ids_trained;
  std::string file;  // where it is from, for messages
  int64_t line = 0;  // 1-based; 0: not from lines
  std::string where() const;
};

// A shape that rows come in. Adding one: a line in the table of data_format.cpp.
struct DataFormat {
  const char* name;    // "messages", "sharegpt", ...
  const char* fields;  // what a row has, for people
  // Fills the example from a row (a JSON object as text); false when the row has another shape.
  // Throws bad_file for a row of this shape with wrong contents.
  bool (*read)(std::string_view row, Example* out);
};

// In the order in which they are tried.
const std::vector<DataFormat>& data_formats();
// The format that reads this row. Throws bad_file listing the formats when none does.
const DataFormat& detect_format(std::string_view row, const std::string& where);

}  // namespace lm
