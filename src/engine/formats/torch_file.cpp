// PyTorch zip checkpoints: data.pkl describes tensors as calls of torch._utils._rebuild_tensor_*,
// their storages lie beside it as data/<key>.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"
#include "engine/formats/pickle.h"
#include "engine/formats/zip.h"

namespace lm {
namespace {

using Kind = PickleValue::Kind;

struct NamedType {
  const char* name;
  DType dtype;
};
// Storage classes (torch.FloatStorage) and dtypes (torch.float32).
constexpr NamedType kStorages[] = {
    {"torch FloatStorage", DType::f32},         {"torch HalfStorage", DType::f16},
    {"torch BFloat16Storage", DType::bf16},     {"torch DoubleStorage", DType::f64},
    {"torch LongStorage", DType::i64},          {"torch IntStorage", DType::i32},
    {"torch ShortStorage", DType::i16},         {"torch CharStorage", DType::i8},
    {"torch ByteStorage", DType::u8},           {"torch BoolStorage", DType::boolean},
    {"torch.storage UntypedStorage", DType::u8}};
constexpr NamedType kDtypes[] = {
    {"torch float32", DType::f32},        {"torch float16", DType::f16},
    {"torch bfloat16", DType::bf16},      {"torch float64", DType::f64},
    {"torch int64", DType::i64},          {"torch int32", DType::i32},
    {"torch int16", DType::i16},          {"torch int8", DType::i8},
    {"torch uint8", DType::u8},           {"torch bool", DType::boolean},
    {"torch uint16", DType::u16},         {"torch uint32", DType::u32},
    {"torch uint64", DType::u64},         {"torch float8_e4m3fn", DType::f8_e4m3},
    {"torch float8_e5m2", DType::f8_e5m2}};
constexpr const char* kOrderedDict = "collections OrderedDict";
constexpr const char* kRebuild2 = "torch._utils _rebuild_tensor_v2";
constexpr const char* kRebuild3 = "torch._utils _rebuild_tensor_v3";
constexpr const char* kParameter = "torch._utils _rebuild_parameter";
constexpr const char* kSize = "torch Size";

template <size_t N>
const DType* find_type(const NamedType (&list)[N], const std::string& name) {
  for (const NamedType& t : list)
    if (name == t.name) return &t.dtype;
  return nullptr;
}

bool allowed(const std::string& global) {
  return find_type(kStorages, global) || find_type(kDtypes, global) || global == kOrderedDict ||
         global == kRebuild2 || global == kRebuild3 || global == kParameter || global == kSize;
}

class TorchFile {
 public:
  TorchFile(std::span<const std::byte> bytes, const std::string& name)
      : name_(name), members_(parse_zip(bytes, name)) {
    const std::string pickle = find_pickle();
    root_ = pickle.substr(0, pickle.size() - 8);  // "data.pkl"
    tree_ = parse_pickle(members_.find(pickle)->second, name, allowed);
    if (const auto order = members_.find(root_ + "byteorder"); order != members_.end()) {
      const std::string_view text(reinterpret_cast<const char*>(order->second.data()),
                                  order->second.size());
      LM_CHECK(text == "little", ErrorCode::unsupported,
               "{}: a checkpoint in {}-endian byte order; little is supported", name, text);
    }
  }

  TensorMap tensors() {
    flatten(*tree_.root, "", 0);
    return std::move(out_);
  }

 private:
  std::string find_pickle() const {
    std::string found;
    for (const auto& [member, bytes] : members_)
      if (member == "data.pkl" ||
          (member.ends_with("/data.pkl") && std::count(member.begin(), member.end(), '/') == 1))
        found = member;
    LM_CHECK(!found.empty(), ErrorCode::bad_file,
             "{}: a zip file without data.pkl; expected a checkpoint of torch.save", name_);
    return found;
  }

  void check_value(bool fine, const std::string& tensor, const char* expected) const {
    LM_CHECK(fine, ErrorCode::bad_file, "{}: tensor \"{}\": expected {}", name_, tensor, expected);
  }

  Shape numbers(const PickleValue& v, const std::string& tensor, const char* what) const {
    // torch.Size((2, 3)) is a call with one tuple.
    if (v.is(Kind::call) && v.items[0]->text == kSize && v.items[1]->items.size() == 1)
      return numbers(*v.items[1]->items[0], tensor, what);
    check_value(v.is(Kind::tuple) && v.items.size() <= 8, tensor, what);
    Shape out;
    for (const Pickle& item : v.items) {
      check_value(
          item->is(Kind::integer) && item->integer >= 0 && item->integer <= int64_t{1} << 48,
          tensor, what);
      out.push_back(item->integer);
    }
    return out;
  }

  struct Storage {
    std::span<const std::byte> bytes;
    DType dtype;
  };

  // ("storage", class, key, device, number of elements)
  Storage storage(const PickleValue& v, const std::string& tensor) const {
    constexpr const char* kExpected = "a storage";
    check_value(v.is(Kind::persistent) && v.items[0]->is(Kind::tuple), tensor, kExpected);
    const auto& id = v.items[0]->items;
    check_value(id.size() == 5 && id[0]->text == "storage" && id[1]->is(Kind::global) &&
                    id[2]->is(Kind::string) && id[4]->is(Kind::integer),
                tensor, kExpected);
    const DType* dtype = find_type(kStorages, id[1]->text);
    check_value(dtype != nullptr, tensor, kExpected);
    const auto member = members_.find(root_ + "data/" + id[2]->text);
    LM_CHECK(member != members_.end(), ErrorCode::bad_file,
             "{}: tensor \"{}\" lies in data/{}, which the file does not have", name_, tensor,
             id[2]->text);
    return {member->second, *dtype};
  }

  // Arguments: storage, offset, size, stride, requires_grad, hooks[, dtype (v3)].
  void add_tensor(const PickleValue& call, const std::string& tensor) {
    const auto& args = call.items[1]->items;
    const bool v3 = call.items[0]->text == kRebuild3;
    check_value(
        args.size() >= (v3 ? 7u : 4u) && args[1]->is(Kind::integer) && args[1]->integer >= 0,
        tensor, "the arguments of a tensor");
    Storage s = storage(*args[0], tensor);
    if (v3) {
      const DType* dtype = args[6]->is(Kind::global) ? find_type(kDtypes, args[6]->text) : nullptr;
      check_value(dtype != nullptr, tensor, "a dtype");
      s.dtype = *dtype;
    }
    TensorView view{nullptr, s.dtype, numbers(*args[2], tensor, "sizes")};
    const Shape strides = numbers(*args[3], tensor, "strides");
    check_value(strides.size() == view.shape.size(), tensor, "as many strides as sizes");
    uint64_t numel = 1;
    for (size_t i = view.shape.size(); i-- > 0;) {
      LM_CHECK(view.shape[i] <= 1 || strides[i] == static_cast<int64_t>(numel),
               ErrorCode::unsupported,
               "{}: tensor \"{}\" of shape {} has strides {}; only contiguous tensors are read",
               name_, tensor, shape_string(view.shape), shape_string(strides));
      const auto d = static_cast<uint64_t>(view.shape[i]);
      check_value(d <= (uint64_t{1} << 48) / std::max<uint64_t>(1, numel), tensor,
                  "at most 2^48 elements");
      numel *= d;
    }
    const auto size = static_cast<uint64_t>(dtype_info(s.dtype).block_bytes);
    const uint64_t total = s.bytes.size() / size, offset = static_cast<uint64_t>(args[1]->integer);
    LM_CHECK(offset <= total && numel <= total - offset, ErrorCode::bad_file,
             "{}: tensor \"{}\" needs elements {}..{} of its storage, which has {}", name_, tensor,
             offset, offset + numel, total);
    view.data = s.bytes.data() + offset * size;
    LM_CHECK(out_.emplace(tensor, std::move(view)).second, ErrorCode::bad_file,
             "{}: tensor \"{}\" appears twice", name_, tensor);
  }

  void flatten_entries(const PickleValue& v, const std::string& prefix, int depth) {
    for (const auto& [key, value] : v.entries) {
      if (!key->is(Kind::string) && !key->is(Kind::integer)) continue;
      const std::string part = key->is(Kind::string) ? key->text : std::to_string(key->integer);
      flatten(*value, prefix.empty() ? part : prefix + "." + part, depth + 1);
    }
  }

  void flatten(const PickleValue& v, const std::string& prefix, int depth) {
    // Containers can share and contain themselves: both limits keep the walk short.
    constexpr int kMaxDepth = 64, kMaxVisited = 1 << 20;
    LM_CHECK(depth <= kMaxDepth && ++visited_ <= kMaxVisited, ErrorCode::bad_file,
             "{}: containers nested deeper than {} or with more than {} values", name_, kMaxDepth,
             kMaxVisited);
    if (v.is(Kind::dict)) return flatten_entries(v, prefix, depth);
    if (v.is(Kind::list) || v.is(Kind::tuple)) {
      for (size_t i = 0; i < v.items.size(); ++i)
        flatten(*v.items[i], prefix.empty() ? std::to_string(i) : fmt::format("{}.{}", prefix, i),
                depth + 1);
      return;
    }
    if (!v.is(Kind::call)) return;
    const std::string& callee = v.items[0]->text;
    if (callee == kOrderedDict) return flatten_entries(v, prefix, depth);
    if (callee == kRebuild2 || callee == kRebuild3) return add_tensor(v, prefix);
    if (callee == kParameter && !v.items[1]->items.empty())
      flatten(*v.items[1]->items[0], prefix, depth + 1);
  }

  const std::string& name_;
  ZipMembers members_;
  std::string root_;
  PickleTree tree_;
  TensorMap out_;
  int visited_ = 0;
};

}  // namespace

TensorMap parse_torch(std::span<const std::byte> bytes, const std::string& name) {
  return TorchFile(bytes, name).tensors();
}

}  // namespace lm
