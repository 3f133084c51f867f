// Chat templates of published models against jinja2's output (shared data).
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/text/chat_template.h"
#include "test_data.h"

using json = nlohmann::ordered_json;

TEST_CASE("chat templates: every expected output, and an error wherever jinja2 has one") {
  const auto folder = lm_test::test_data("chat_templates");
  if (!folder) return;
  const json contexts = json::parse(lm::read_file(*folder + "/contexts.json"))["contexts"];
  const std::time_t now = 1736944496;  // 2025-01-15T12:34:56
  int passed = 0, total = 0, templates_passed = 0, templates = 0;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(*folder + "/expected"))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    const std::string name = path.stem().string();
    const json expected = json::parse(lm::read_file(path.string()));
    int ok = 0;
    for (const auto& [context, result] : expected.items()) {
      // jinja2 fails here because map() gives a generator, which json.dumps refuses; a list is what
      // the author meant.
      if (name == "llama-cpp-deepseek-r1" && (context == "tools" || context == "tool_call_dict")) {
        CHECK_FALSE(result.contains("output"));
        ++ok;
        continue;
      }
      const json& variables = contexts[context];
      lm::ChatInput input;
      input.messages = variables["messages"].dump();
      if (variables.contains("tools")) input.tools = variables["tools"].dump();
      json extra = variables;
      for (const char* known : {"messages", "tools"}) extra.erase(known);
      input.extra = extra.dump();
      input.bos_token = "<s>";
      input.eos_token = "</s>";
      input.now = now;
      std::string got, error;
      try {
        got = lm::ChatTemplate(lm::read_file(*folder + "/" + name + ".jinja")).render(input);
      } catch (const lm::Error& e) {
        error = e.message();
      }
      const bool good = result.contains("output")
                            ? error.empty() && got == result["output"].get<std::string>()
                            : !error.empty();
      CHECK_MESSAGE(good, name << " " << context << ": " << error << "\n--- got\n"
                               << got << "\n--- expected\n"
                               << result.dump());
      ok += good ? 1 : 0;
    }
    passed += ok;
    total += static_cast<int>(expected.size());
    ++templates;
    templates_passed += ok == static_cast<int>(expected.size()) ? 1 : 0;
    if (ok != static_cast<int>(expected.size()))
      std::printf("table: %-50s %d/%zu\n", name.c_str(), ok, expected.size());
  }
  std::printf("table: chat templates               cases %d/%d, templates %d/%d\n", passed, total,
              templates_passed, templates);
}

TEST_CASE("chat templates: minja's goldens") {
  const auto folder = lm_test::test_data("chat_templates/minja-goldens");
  if (!folder) return;
  int passed = 0, total = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder + "/goldens")) {
    const std::string name = entry.path().stem().string();
    const size_t dash = name.rfind('-');
    const std::string source = *folder + "/templates/" + name.substr(0, dash) + ".jinja";
    if (!std::filesystem::exists(source)) continue;
    ++total;
    std::string got;
    try {
      got =
          lm::ChatTemplate(lm::read_file(source))
              .render_json(lm::read_file(*folder + "/contexts/" + name.substr(dash + 1) + ".json"));
    } catch (const lm::Error& e) {
      got = "error: " + e.message();
    }
    CHECK_MESSAGE(got == lm::read_file(entry.path().string()), name << "\n" << got);
    passed += got == lm::read_file(entry.path().string()) ? 1 : 0;
  }
  std::printf("table: minja goldens                %d/%d\n", passed, total);
}

TEST_CASE("chat templates: the conversations of SmolLM2 render as in transformers") {
  const auto path = lm_test::test_data("models/real-goldens/smollm2-135m-instruct.q4_1.json");
  if (!path) return;
  const json golden = json::parse(lm::read_file(*path));
  const lm::ChatTemplate chat(golden["model"]["chat_template"].get<std::string>());
  for (const json& c : golden["chats"]) {
    lm::ChatInput input;
    input.messages = c["messages"].dump();
    CHECK(chat.render(input) == c["rendered"].get<std::string>());
  }
}
