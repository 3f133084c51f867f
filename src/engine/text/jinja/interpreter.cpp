#include "engine/text/jinja/interpreter.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/unicode.h"

namespace lm::jinja {

namespace {
constexpr size_t kMaxSteps = 20'000'000;
constexpr int kMaxDepth = 600;  // statements and expressions inside each other, macros included
}  // namespace

struct Interpreter::Depth {
  explicit Depth(Interpreter& interpreter) : i(interpreter) {
    if (++i.depth_ > kMaxDepth) {
      --i.depth_;
      i.fail(fmt::format("nested more than {} deep", kMaxDepth));
    }
    if (++i.steps_ > kMaxSteps) {
      --i.depth_;
      i.fail(fmt::format("more than {} steps", kMaxSteps));
    }
  }
  ~Depth() { --i.depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  Interpreter& i;
};

Interpreter::~Interpreter() {
  // A namespace can hold itself; emptying them breaks such cycles.
  for (const auto& ns : namespaces_) ns->clear();
}

void Interpreter::fail(const std::string& what) const {
  raise(ErrorCode::bad_option, "chat template line {}: {}", line_, what);
}

void Interpreter::charge(size_t bytes) {
  spend_bytes(bytes);
}

std::string Interpreter::render(const Template& t) {
  std::string out;
  root_out_ = &out;
  run_body(t.body, out);
  return out;
}

// --- statements ---

Flow Interpreter::run_body(const Body& body, std::string& out) {
  for (const auto& node : body) {
    const Flow flow = run_node(*node, out);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Flow Interpreter::run_node(const Node& node, std::string& out) {
  const Depth depth(*this);
  line_ = node.line;
  switch (node.type) {
    case NodeType::text:
      charge(node.text.size());
      out += node.text;
      return Flow::normal;
    case NodeType::output: {
      const std::string text = to_text(eval(*node.expr));
      charge(text.size());
      out += text;
      return Flow::normal;
    }
    case NodeType::branch:
      return run_branch(node, out);
    case NodeType::loop:
      return run_loop(node, out);
    case NodeType::set:
      run_set(node);
      return Flow::normal;
    case NodeType::set_block:
      run_set_block(node);
      return Flow::normal;
    case NodeType::macro:
      scopes_.back()[node.text] = make_macro(node);
      return Flow::normal;
    case NodeType::call_block:
      run_call_block(node, out);
      return Flow::normal;
    case NodeType::filter_block: {
      const Value text = run_captured(node.body);
      scopes_.emplace_back();
      scopes_.back()["*filtered"] = text;
      out += to_text(eval(*node.expr));
      scopes_.pop_back();
      return Flow::normal;
    }
    case NodeType::generation: {
      const size_t begin = out.size();
      const Flow flow = run_body(node.body, out);
      if (&out == root_out_) generated_.emplace_back(begin, out.size());
      return flow;
    }
    case NodeType::break_loop:
      return Flow::break_loop;
    case NodeType::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::normal;
}

Flow Interpreter::run_branch(const Node& node, std::string& out) {
  for (const Branch& branch : node.branches) {
    if (!branch.condition || eval(*branch.condition).truthy()) return run_body(branch.body, out);
  }
  return Flow::normal;
}

Flow Interpreter::run_loop(const Node& node, std::string& out) {
  List items = elements(eval(*node.expr));
  if (node.condition) {
    List kept;
    for (Value& item : items) {
      scopes_.emplace_back();
      assign(node.targets, item);
      const bool keep = eval(*node.condition).truthy();
      scopes_.pop_back();
      if (keep) kept.push_back(std::move(item));
    }
    items.swap(kept);
  }
  const auto count = static_cast<int64_t>(items.size());
  for (int64_t i = 0; i < count; ++i) {
    const auto loop = std::make_shared<Dict>();
    loop->set("index", i + 1);
    loop->set("index0", i);
    loop->set("revindex", count - i);
    loop->set("revindex0", count - i - 1);
    loop->set("first", i == 0);
    loop->set("last", i == count - 1);
    loop->set("length", count);
    if (i > 0) loop->set("previtem", items[static_cast<size_t>(i - 1)]);
    if (i + 1 < count) loop->set("nextitem", items[static_cast<size_t>(i + 1)]);
    loop->set("cycle", Function([i](Interpreter& in, Arguments& arguments) -> Value {
                if (arguments.positional.empty()) in.fail("loop.cycle without values");
                return arguments.positional[static_cast<size_t>(i) % arguments.positional.size()];
              }));
    scopes_.emplace_back();
    scopes_.back()["loop"] = loop;
    assign(node.targets, items[static_cast<size_t>(i)]);
    const Flow flow = run_body(node.body, out);
    scopes_.pop_back();
    if (flow == Flow::break_loop) break;
  }
  if (count == 0) return run_body(node.other, out);
  return Flow::normal;
}

void Interpreter::run_set(const Node& node) {
  const Value value = eval(*node.expr);
  line_ = node.line;
  assign(node.targets, value);
}

void Interpreter::run_set_block(const Node& node) {
  Value text = run_captured(node.body);
  if (node.condition) {
    scopes_.emplace_back();
    scopes_.back()["*filtered"] = text;
    text = eval(*node.condition);
    scopes_.pop_back();
  }
  assign(node.targets, text);
}

std::string Interpreter::run_captured(const Body& body) {
  std::string out;
  scopes_.emplace_back();
  run_body(body, out);
  scopes_.pop_back();
  return out;
}

void Interpreter::run_call_block(const Node& node, std::string& out) {
  const Value callee = eval(*node.expr->a);
  Arguments arguments = eval_arguments(*node.expr);
  // The block sees the scopes of its place, which are alive while the macro runs.
  arguments.named.emplace_back(
      "caller", Function([&node, visible = visible_from_](Interpreter& in, Arguments& given) {
        return in.call_macro(node, given, visible);
      }));
  out += to_text(call(callee, arguments));
}

Value Interpreter::make_macro(const Node& node) {
  return Function([&node](Interpreter& in, Arguments& arguments) {
    return in.call_macro(node, arguments, in.scopes_.size());
  });
}

Value Interpreter::call_macro(const Node& node, Arguments& arguments, size_t visible_from) {
  const Depth depth(*this);
  Scope scope;
  if (arguments.positional.size() > node.parameters.size()) {
    fail(fmt::format("macro {} takes {} arguments, got {}", node.text, node.parameters.size(),
                     arguments.positional.size()));
  }
  for (const auto& [name, value] : arguments.named) {
    const bool known =
        name == "caller" || std::any_of(node.parameters.begin(), node.parameters.end(),
                                        [&, &n = name](const auto& p) { return p.first == n; });
    if (!known) fail(fmt::format("macro {} has no parameter \"{}\"", node.text, name));
    scope[name] = value;
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    scope[node.parameters[i].first] = arguments.positional[i];
  const size_t visible = visible_from_;
  visible_from_ = visible_from;
  scopes_.push_back(std::move(scope));
  for (const auto& [name, fallback] : node.parameters) {
    if (scopes_.back().contains(name)) continue;
    Value value = fallback ? eval(*fallback) : Value::undefined(name);
    scopes_.back()[name] = std::move(value);
  }
  std::string out;
  run_body(node.body, out);
  scopes_.pop_back();
  visible_from_ = visible;
  return out;
}

void Interpreter::assign(const std::vector<ExprPtr>& targets, const Value& value) {
  const auto put = [&](const Expr& target, const Value& v) {
    if (target.type == ExprType::name) {
      scopes_.back()[target.text] = v;
      return;
    }
    const Value object = lookup(target.a->text);
    if (!object.is_dict() || !object.dict().is_namespace)
      fail("cannot assign attribute on non-namespace object");
    object.dict().set(target.text, v);
  };
  if (targets.size() == 1) {
    put(*targets[0], value);
    return;
  }
  const List parts = elements(value);
  if (parts.size() != targets.size()) {
    fail(fmt::format("cannot unpack {} values into {} variables", parts.size(), targets.size()));
  }
  for (size_t i = 0; i < targets.size(); ++i) put(*targets[i], parts[i]);
}

Value Interpreter::lookup(const std::string& name) {
  for (size_t i = scopes_.size(); i-- > 0;) {
    if (i != 0 && i < visible_from_) continue;
    const auto it = scopes_[i].find(name);
    if (it != scopes_[i].end()) return it->second;
  }
  if (const Function* f = find_global(name)) return *f;
  return Value::undefined(name);
}

Value Interpreter::make_namespace(Arguments& arguments) {
  auto ns = std::make_shared<Dict>();
  ns->is_namespace = true;
  for (const Value& v : arguments.positional) {
    if (!v.is_dict()) fail("namespace takes named values or a dict");
    for (const auto& [key, item] : v.dict().items()) ns->set(key, item);
  }
  for (auto& [key, v] : arguments.named) ns->set(key, std::move(v));
  namespaces_.push_back(ns);
  return ns;
}

}  // namespace lm::jinja
