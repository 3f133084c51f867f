// Training data: files and shapes of rows, what is trained on, packing.
#include <doctest/doctest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/data/dataset.h"
#include "engine/data/pack.h"
#include "engine/data/row_reader.h"
#include "engine/text/train/train_tokenizer.h"
#include "test_data.h"

namespace lm {
namespace {

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.message();
  }
  return "";
}

std::string write(const lm_test::TemporaryFolder& folder, const char* name, std::string_view text) {
  const std::string path = (folder.path / name).string();
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::vector<SourceRow> rows_of(const std::string& file) {
  std::vector<SourceRow> out;
  read_rows(file, [&](const SourceRow& row) {
    out.push_back(row);
    return true;
  });
  return out;
}

Example read_example(const std::string& row, const char* format) {
  const DataFormat& f = detect_format(row, "row");
  CHECK(std::string(f.name) == format);
  Example e;
  REQUIRE(f.read(row, &e));
  return e;
}

// ChatML, as SmolLM2 and Qwen have it without their default system message.
constexpr const char* kChatml =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
// One that shows the thoughts of the last answer only, as Qwen 3 does.
constexpr const char* kRewriting =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if loop.last and m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

}  // namespace

TEST_CASE("packing: TRL's worked example") {
  // trl/data_utils.py, pack_dataset: lengths 4 (cut from 5), 2, 3, 1 in rows of 4.
  const std::vector<int64_t> lengths = {4, 2, 3, 1};
  const std::vector<std::vector<int64_t>> expected = {{0}, {2, 3}, {1}};
  CHECK(pack_best_fit(lengths, 4) == expected);
  CHECK(pack_best_fit({}, 4).empty());
}

TEST_CASE("data files: lines, lists, tables, text, gzip, folders, patterns") {
  const lm_test::TemporaryFolder folder;
  write(folder, "a.jsonl", "{\"text\": \"one\"}\r\n\n{\"text\": \"two\"}");
  write(folder, "b.json", R"({"data": [{"text": "x"}, {"text": "y"}]})");
  write(folder, "c.csv", "text,more\n\"a \"\"b\"\"\nc\",1\nplain,2\n");
  write(folder, "d.txt", "whole\nfile");
  write(folder, "other.bin", "?");
  const std::string packed = (folder.path / "e.jsonl.gz").string();
  gzFile gz = gzopen(packed.c_str(), "wb");
  gzputs(gz, "{\"text\": \"zipped\"}\n");
  gzclose(gz);
  const auto files = data_files(folder.path.string());
  REQUIRE(files.size() == 5);
  const auto lines = rows_of(files[0]);
  REQUIRE(lines.size() == 2);
  CHECK(lines[1].line == 3);
  CHECK(rows_of(files[1]).size() == 2);
  const auto table = rows_of(files[2]);
  REQUIRE(table.size() == 2);
  CHECK(table[0].json == R"({"more":"1","text":"a \"b\"\nc"})");
  CHECK(table[1].line == 4);
  CHECK(rows_of(files[3])[0].json == R"({"text":"whole\nfile"})");
  CHECK(rows_of(packed)[0].json == "{\"text\": \"zipped\"}");
  CHECK(data_files((folder.path / "*.csv").string()).size() == 1);
  CHECK(message_of([&] { data_files((folder.path / "none*").string()); }).find("no data file") ==
        0);
  CHECK(message_of([&] {
          data_files((folder.path / "other.bin").string());
        }).find("is of no known kind") != std::string::npos);
  const std::string ragged = write(folder, "f.csv", "a,b\n1\n");
  CHECK(message_of([&] { rows_of(ragged); }).find("f.csv:2: the row has 1 fields") !=
        std::string::npos);
}

TEST_CASE("data formats: each shape is told apart and read") {
  const Example chat = read_example(
      R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]},
          {"role": "assistant", "content": "ho", "train": false}], "tools": "[{\"name\": \"f\"}]"})",
      "messages");
  CHECK(chat.messages == R"([{"content":"hi","role":"user"},{"content":"ho","role":"assistant"}])");
  CHECK(chat.train_on == std::vector<int8_t>{-1, 0});
  CHECK(chat.tools == R"([{"name":"f"}])");
  const Example shared = read_example(
      R"({"system": "s", "conversations": [{"from": "human", "value": "a"},
          {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"},
          {"from": "observation", "value": "r"}, {"from": "gpt", "value": "b"}]})",
      "sharegpt");
  CHECK(shared.messages.find(R"("tool_calls":[{"function":{"arguments":{},"name":"f"})") !=
        std::string::npos);
  CHECK(shared.train_on.size() == 5);
  CHECK(read_example(R"({"prompt": "p", "completion": "c"})", "prompt_completion").completion ==
        "c");
  const Example parts = read_example(
      R"({"prompt": [{"role": "user", "content": "a"}],
          "completion": [{"role": "assistant", "content": "b"}]})",
      "prompt_completion");
  CHECK(parts.train_on == std::vector<int8_t>{0, -1});
  CHECK(
      read_example(R"({"instruction": "do", "input": "it", "output": "ok"})", "alpaca").messages ==
      R"([{"content":"do\n\nit","role":"user"},{"content":"ok","role":"assistant"}])");
  CHECK(read_example(R"({"question": "q", "answer": "a"})", "question_answer").train_on.size() ==
        2);
  CHECK(read_example(R"({"text": "t"})", "text").text == "t");
  CHECK(read_example(R"({"input_ids": [4, 5], "labels": [-100, 5]})", "tokens").ids_trained ==
        std::vector<uint8_t>{0, 1});
  for (const char* broken :
       {"", "{", "[]", "{}", R"({"messages": [{"role": 1}]})", R"({"messages": ["x"]})",
        R"({"conversations": [{"from": "martian", "value": "x"}]})",
        R"({"conversations": [{"from": "function_call", "value": "no json"}]})",
        R"({"input_ids": [1], "labels": [1, 2]})", R"({"instruction": "a", "output": 3})"}) {
    CAPTURE(broken);
    CHECK(message_of([&] { detect_format(broken, "here"); }) != "");
  }
  const std::string deep = std::string(2000, '[') + std::string(2000, ']');
  CHECK(message_of([&] { detect_format(deep, "here"); }).find("nested deeper") !=
        std::string::npos);
}

TEST_CASE("trained spans: turns with their end, whatever the template does") {
  const auto path = lm_test::test_model("SmolLM2-135M-Instruct.Q4_1.gguf");
  if (!path) return;
  LoadOptions measure;
  measure.measure = true;
  const auto model = Model::load(*path, measure);
  const Tokenizer& tokenizer = *model->tokenizer();
  const auto shown = [&](const char* row, const char* source, TrainOn on) {
    const ChatTemplate chat(source);
    Example e;
    REQUIRE(detect_format(row, "row").read(row, &e));
    return show_trained(encode_example(e, {&tokenizer, &chat, on, true}), tokenizer);
  };
  const char* row = R"({"messages": [{"role": "user", "content": "A?"}, {"role": "assistant",
      "content": "B"}, {"role": "user", "content": "C?"}, {"role": "assistant", "content": "D"}]})";
  CHECK(shown(row, kChatml, TrainOn::assistant) ==
        "<|im_start|>user\nA?<|im_end|>\n<|im_start|>assistant\n«B<|im_end|>»\n"
        "<|im_start|>user\nC?<|im_end|>\n<|im_start|>assistant\n«D<|im_end|>»\n");
  CHECK(shown(row, kChatml, TrainOn::last) ==
        "<|im_start|>user\nA?<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n"
        "<|im_start|>user\nC?<|im_end|>\n<|im_start|>assistant\n«D<|im_end|>»\n");
  CHECK(shown(row, kRewriting, TrainOn::assistant) ==
        "<|im_start|>user\nA?<|im_end|>\n<|im_start|>assistant\n«B<|im_end|>»\n"
        "<|im_start|>user\nC?<|im_end|>\n<|im_start|>assistant\n«<think>\n\n</"
        "think>\n\nD<|im_end|>»\n");
  const char* flagged = R"({"messages": [{"role": "user", "content": "A?", "train": true},
      {"role": "assistant", "content": "B", "train": false},
      {"role": "assistant", "content": "D"}]})";
  CHECK(shown(flagged, kChatml, TrainOn::assistant) ==
        "<|im_start|>user\n«A?<|im_end|>»\n<|im_start|>assistant\nB<|im_end|>\n"
        "<|im_start|>assistant\n«D<|im_end|>»\n");
  Example completion;
  completion.prompt = "Q: x A:";
  completion.completion = " y";
  CHECK(show_trained(encode_example(completion, {&tokenizer, nullptr, TrainOn::assistant, true}),
                     tokenizer) == "Q: x A:« y<|im_end|>»");
}

TEST_CASE("data sets: bad rows are named, long ones cut, split or left out; parts are put aside") {
  const auto path = lm_test::test_model("SmolLM2-135M-Instruct.Q4_1.gguf");
  if (!path) return;
  LoadOptions measure;
  measure.measure = true;
  const auto model = Model::load(*path, measure);
  const lm_test::TemporaryFolder folder;
  std::string text = "{\"text\": \"one two three four five six seven eight nine ten\"}\nnonsense\n";
  for (int i = 0; i < 9; ++i) text += "{\"text\": \"short\"}\n";
  DatasetOptions o;
  o.paths = {write(folder, "a.jsonl", text)};
  o.encode = {model->tokenizer().get(), nullptr, TrainOn::assistant, true};
  o.max_length = 4;
  const auto count = [&](const char* how) {
    o.too_long = how;
    return load_dataset(o);
  };
  const Dataset cut = count("cut");
  CHECK(cut.rows.size() == 10);
  CHECK(cut.counts.n_bad == 1);
  REQUIRE(cut.counts.problems.size() == 1);
  CHECK(cut.counts.problems[0].find("a.jsonl:2: ") != std::string::npos);
  CHECK(count("drop").rows.size() == 9);
  const Dataset split = count("split");
  CHECK(split.n_tokens() == 11 + 9 * 2);
  CHECK(count("auto").n_tokens() == split.n_tokens());
  CHECK(split.hash() != cut.hash());
  o.stop_at_bad_rows = true;
  CHECK(message_of([&] { load_dataset(o); }).find("a.jsonl:2") != std::string::npos);
  o.stop_at_bad_rows = false;
  Dataset rest = count("cut");
  const Dataset aside = split_off(&rest, 0.2, 1);
  CHECK(aside.rows.size() == 2);
  CHECK(rest.rows.size() == 8);
  CHECK(message_of([&] { split_off(&rest, 8, 1); }) != "");
  auto order = shuffled(100, 3);
  CHECK(order == shuffled(100, 3));
  CHECK(order != shuffled(100, 4));
}

namespace {

// A tokenizer with a token for every byte, and one that ends texts.
std::shared_ptr<const Tokenizer> byte_tokenizer() {
  TokenizerTraining o;
  o.vocab_size = 257;
  o.special_tokens = {"<|endoftext|>"};
  const std::string json = train_tokenizer([](const auto& add) { add("x"); }, o);
  const lm_test::TemporaryFolder folder;
  write(folder, "tokenizer.json", json);
  write(folder, "tokenizer_config.json", R"({"eos_token": "<|endoftext|>"})");
  return load_tokenizer_folder(folder.path.string());
}

std::vector<std::string> texts_of(const Dataset& data, const Tokenizer& tokenizer) {
  std::vector<std::string> out;
  for (const RowView& row : data.rows) out.push_back(tokenizer.decode(row.ids, false));
  return out;
}

}  // namespace

TEST_CASE("data sets: weights repeat rows or choose some, the same ones for a seed") {
  const auto tokenizer = byte_tokenizer();
  const lm_test::TemporaryFolder folder;
  std::string many;
  for (int i = 0; i < 100; ++i) many += fmt::format("{{\"text\": \"many {}\"}}\n", i);
  DatasetOptions o;
  o.paths = {write(folder, "many.jsonl", many),
             write(folder, "few.jsonl", "{\"text\": \"few one\"}\n{\"text\": \"few two\"}\n")};
  o.weights = {0.3, 2.5};
  o.encode.tokenizer = tokenizer.get();
  const Dataset mixed = load_dataset(o);
  const auto texts = texts_of(mixed, *tokenizer);
  REQUIRE(texts.size() == 30 + 5);
  CHECK(std::set<std::string>(texts.begin(), texts.begin() + 30).size() == 30);
  CHECK(std::count_if(texts.begin(), texts.end(),
                      [](const auto& t) { return t.starts_with("few"); }) == 5);
  CHECK(texts_of(load_dataset(o), *tokenizer) == texts);
  CHECK(load_dataset(o).hash() == mixed.hash());
  o.seed = 1;
  CHECK(texts_of(load_dataset(o), *tokenizer) != texts);
  CHECK(load_dataset(o).hash() != mixed.hash());
  // What is put aside for evaluation is not trained on, however often it counts.
  Dataset rest = load_dataset(o);
  const Dataset aside = split_off(&rest, 0.5, 1);
  for (const RowView& row : aside.rows)
    for (const RowView& other : rest.rows) CHECK(row.ids.data() != other.ids.data());
}

TEST_CASE("data sets: wrapped rows are one text after the other, cut where they are full") {
  const auto tokenizer = byte_tokenizer();
  const lm_test::TemporaryFolder folder;
  DatasetOptions o;
  o.paths = {write(folder, "a.jsonl",
                   "{\"text\": \"abc\"}\n{\"text\": \"defgh\"}\n{\"text\": \"ijklmnopqrs\"}\n")};
  o.encode.tokenizer = tokenizer.get();
  o.max_length = 6;
  o.wrapped = true;
  const std::vector<std::string> wanted = {"abc<|endoftext|>de", "fgh<|endoftext|>ij", "klmnop",
                                           "qrs<|endoftext|>"};
  CHECK(texts_of(load_dataset(o), *tokenizer) == wanted);
}

TEST_CASE("data sets: long text files come in pieces, with one end; a line <|endoftext|> is one") {
  const auto tokenizer = byte_tokenizer();
  const lm_test::TemporaryFolder folder;
  std::string line;
  for (int i = 0; i < 1000; ++i) line += fmt::format("{:09}\n", i);
  std::string text;
  for (int i = 0; i < 250; ++i) text += line;  // 2.5 million bytes
  DatasetOptions o;
  o.paths = {write(folder, "long.txt", text + "<|endoftext|>\nsecond")};
  o.encode.tokenizer = tokenizer.get();
  o.max_length = 5'000'000;
  const Dataset data = load_dataset(o);
  REQUIRE(data.rows.size() == 4);
  std::string all;
  for (size_t i = 0; i < 4; ++i) {
    const bool end = data.rows[i].ids.back() == tokenizer->eos()[0];
    CHECK(end == (i >= 2));
    all += tokenizer->decode(data.rows[i].ids, true);
  }
  CHECK(all == text + "second");
}

TEST_CASE("data sets: tokens kept in the cache are the same, and made anew for other files") {
  const auto tokenizer = byte_tokenizer();
  const lm_test::TemporaryFolder folder;
  DatasetOptions o;
  o.paths = {write(folder, "a.jsonl", "{\"text\": \"one\"}\nnonsense\n{\"text\": \"three\"}\n")};
  o.encode.tokenizer = tokenizer.get();
  const Dataset plain = load_dataset(o);
  o.cache = (folder.path / "cache").string();
  o.cache_above = 0;
  int made = 0;
  o.progress = [&](double, const std::string&) { ++made; };
  for (int i = 0; i < 3; ++i) {
    const Dataset kept = load_dataset(o);
    CHECK(texts_of(kept, *tokenizer) == texts_of(plain, *tokenizer));
    CHECK(kept.hash() == plain.hash());
    CHECK(kept.counts.n_bad == 1);
    CHECK(kept.counts.problems == plain.counts.problems);
    REQUIRE(kept.stores.size() == 1);
    CHECK(kept.stores[0]->path().starts_with(o.cache));
  }
  const auto files = [&] {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(o.cache))
      names.push_back(entry.path().string());
    return names;
  };
  REQUIRE(files().size() == 1);
  const std::string path = files()[0];
  // Other options and other contents are other files.
  o.max_length = 3;
  CHECK(load_dataset(o).rows.size() == 3);
  CHECK(files().size() == 2);
  o.max_length = 1024;
  write(folder, "a.jsonl", "{\"text\": \"other\"}\n");
  CHECK(texts_of(load_dataset(o), *tokenizer) == std::vector<std::string>{"other<|endoftext|>"});
  // A damaged file is as good as none.
  const std::string good = read_file(path);
  const std::string key = [&] {
    const size_t at = good.rfind("\"key\":\"");
    const auto j =
        nlohmann::json::parse(good.substr(good.rfind('{'), good.size() - 48 - good.rfind('{')));
    return at == good.npos ? "" : j.at("key").get<std::string>();
  }();
  REQUIRE(open_token_store(path, key) != nullptr);
  CHECK(open_token_store(path, key + "x") == nullptr);
  for (size_t n = 0; n < good.size(); ++n) {
    write_file_atomic(path, std::as_bytes(std::span(good).first(n)));
    CHECK(open_token_store(path, key) == nullptr);
  }
  const size_t rows_end = good.size() - 48 - 200;
  for (size_t n = rows_end; n < good.size(); ++n) {
    std::string bad = good;
    bad[n] = static_cast<char>(bad[n] + 1);
    write_file_atomic(path, std::as_bytes(std::span(bad)));
    if (const auto store = open_token_store(path, key))
      for (int64_t i = 0; i < store->n_rows(); ++i) CHECK(store->row(i).ids.size() < 100);
  }
  // What was not used for a month goes when another file comes.
  const auto month_ago = std::filesystem::file_time_type::clock::now() - std::chrono::days(31);
  std::filesystem::last_write_time(path, month_ago);
  o.max_length = 5;
  load_dataset(o);
  CHECK_FALSE(std::filesystem::exists(path));
}

}  // namespace lm
