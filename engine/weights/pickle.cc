#include "engine/weights/pickle.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "common/utf8.h"

namespace shoal {
namespace {

constexpr std::size_t kMaxAxes = 16;
constexpr std::size_t kMaxArguments = 8;
constexpr std::size_t kMaxLine = 256;  ///< bytes of a name or a number
constexpr std::int64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();

enum class Callable {
  kOrderedDict,
  kRebuildTensor,
  kRebuildTensorV2,
  kRebuildParameter,
  kStorageClass,
};

struct AllowedName {
  std::string_view module;
  std::string_view name;
  Callable callable;
  ElementType type = ElementType::kFloat32;  ///< of a storage class
};

constexpr std::array kAllowed = {
    AllowedName{"collections", "OrderedDict", Callable::kOrderedDict},
    AllowedName{"torch._utils", "_rebuild_tensor", Callable::kRebuildTensor},
    AllowedName{"torch._utils", "_rebuild_tensor_v2",
                Callable::kRebuildTensorV2},
    AllowedName{"torch._utils", "_rebuild_parameter",
                Callable::kRebuildParameter},
    AllowedName{"torch", "DoubleStorage", Callable::kStorageClass,
                ElementType::kFloat64},
    AllowedName{"torch", "FloatStorage", Callable::kStorageClass,
                ElementType::kFloat32},
    AllowedName{"torch", "HalfStorage", Callable::kStorageClass,
                ElementType::kFloat16},
    AllowedName{"torch", "BFloat16Storage", Callable::kStorageClass,
                ElementType::kBFloat16},
    AllowedName{"torch", "LongStorage", Callable::kStorageClass,
                ElementType::kInt64},
    AllowedName{"torch", "IntStorage", Callable::kStorageClass,
                ElementType::kInt32},
    AllowedName{"torch", "ShortStorage", Callable::kStorageClass,
                ElementType::kInt16},
    AllowedName{"torch", "CharStorage", Callable::kStorageClass,
                ElementType::kInt8},
    AllowedName{"torch", "ByteStorage", Callable::kStorageClass,
                ElementType::kUint8},
    AllowedName{"torch", "BoolStorage", Callable::kStorageClass,
                ElementType::kBool},
};

/// A name for a message: no control characters, not too long.
std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string safe;
  for (const char c : text.substr(0, kMost)) {
    safe += c >= ' ' && c <= '~' ? c : '?';
  }
  return text.size() > kMost ? safe + "..." : safe;
}

/// Checks that every element of (shape, strides) from `offset` on lies among
/// `count` elements, each met once.
Result<void> check_layout(const PickledTensor& tensor, std::uint64_t count) {
  std::uint64_t elements = 1;
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;  // stride, size
  bool empty = false;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    const std::int64_t size = tensor.shape[i];
    const std::int64_t stride = tensor.strides[i];
    if (size < 0 || stride < 0) {
      return corruption("its shape or its strides are negative");
    }
    if (size == 0) empty = true;
    if (size > 1) steps.emplace_back(stride, size);
    // Zero sides must not hide an overflow of the others.
    const auto side =
        static_cast<std::uint64_t>(std::max<std::int64_t>(size, 1));
    if (elements > static_cast<std::uint64_t>(kMaxInt64) / side) {
      return corruption("its shape overflows");
    }
    elements *= side;
  }
  if (tensor.offset < 0 || static_cast<std::uint64_t>(tensor.offset) > count) {
    return corruption("it begins outside its storage");
  }
  if (empty) return ok();
  const std::uint64_t room = count - static_cast<std::uint64_t>(tensor.offset);
  std::sort(steps.begin(), steps.end());
  std::uint64_t last = 0;
  for (const auto& [stride, size] : steps) {
    const auto step = static_cast<std::uint64_t>(stride);
    if (step <= last) return corruption("its elements overlap");
    const auto more = static_cast<std::uint64_t>(size - 1);
    if (step > room / more) {
      return corruption("it reaches past the end of its storage");
    }
    last += step * more;
    if (last >= room) {
      return corruption("it reaches past the end of its storage");
    }
  }
  if (room == 0) return corruption("it begins outside its storage");
  return ok();
}

/// The stack machine. Owner-thread.
class Machine {
 public:
  Machine(std::string_view bytes, const PickleLimits& limits)
      : bytes_(bytes.substr(0, limits.max_bytes)),
        cut_(bytes.size() > limits.max_bytes),
        limits_(limits) {}

  Result<Pickle> run() {
    for (std::size_t operations = 0;; ++operations) {
      operation_at_ = at_;
      if (operations >= limits_.max_operations) {
        return failure(resource_exhausted(fmt::format(
            "it has more than {} operations", limits_.max_operations)));
      }
      const auto stopped = step();
      if (!stopped) return failure(stopped.error());
      if (stopped.value()) break;
    }
    if (!marks_.empty() || stack_.size() != 1) {
      return failure(corruption("it ends with more or less than one value"));
    }
    pickle_.root = stack_.back();
    pickle_.size_bytes = at_;
    return std::move(pickle_);
  }

 private:
  [[nodiscard]] Error failure(const Error& error) const {
    return error.within(fmt::format("at byte {}", operation_at_));
  }

  /// @return whether that was the last operation
  Result<bool> step() {
    SHOAL_TRY(code, take(1));
    if (code[0] == '.') return true;
    SHOAL_TRY(operate(code[0]));
    return false;
  }

  Result<std::string_view> take(std::uint64_t size) {
    if (size > bytes_.size() - at_) {
      if (cut_) {
        return resource_exhausted(
            fmt::format("it is larger than {} bytes", limits_.max_bytes));
      }
      return corruption(fmt::format("{} bytes are wanted and {} are left", size,
                                    bytes_.size() - at_));
    }
    const std::string_view taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }

  template <typename T>
  Result<T> number() {
    SHOAL_TRY(raw, take(sizeof(T)));
    T value;
    std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }

  /// The text up to the next line end, which is taken too.
  Result<std::string_view> line() {
    const std::string_view rest = bytes_.substr(at_, kMaxLine);
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      return corruption("a line does not end");
    }
    at_ += end + 1;
    return rest.substr(0, end);
  }

  PickleValue& push(PickleKind kind) {
    stack_.push_back(static_cast<std::uint32_t>(pickle_.values.size()));
    pickle_.values.emplace_back();
    pickle_.values.back().kind = kind;
    return pickle_.values.back();
  }

  Result<void> push_integer(std::int64_t value) {
    push(PickleKind::kInteger).integer = value;
    return ok();
  }

  template <typename T>
  Result<void> push_number() {
    SHOAL_TRY(value, number<T>());
    return push_integer(static_cast<std::int64_t>(value));
  }

  template <typename Length>
  Result<void> push_text() {
    SHOAL_TRY(size, number<Length>());
    SHOAL_TRY(text, take(size));
    if (!is_valid_utf8(text)) return corruption("a text is not UTF-8");
    push(PickleKind::kText).text = text;
    return ok();
  }

  template <typename Length>
  Result<void> push_bytes(PickleKind kind) {
    SHOAL_TRY(size, number<Length>());
    SHOAL_TRY(bytes, take(size));
    push(kind).text = bytes;
    return ok();
  }

  /// A little-endian two's-complement number of `size` bytes.
  Result<void> push_long(std::uint64_t size) {
    SHOAL_TRY(raw, take(size));
    if (raw.size() > sizeof(std::int64_t)) {
      push(PickleKind::kBigInteger).text = raw;
      return ok();
    }
    const bool negative = !raw.empty() && (raw.back() & 0x80) != 0;
    std::int64_t value = negative ? -1 : 0;
    std::memcpy(&value, raw.data(), raw.size());
    return push_integer(value);
  }

  /// Protocol 1's decimal numbers; long ones end with L, truth values are 00
  /// and 01.
  Result<void> push_decimal(bool is_long) {
    SHOAL_TRY(text, line());
    if (!is_long && (text == "00" || text == "01")) {
      push(PickleKind::kBool).integer = text == "01" ? 1 : 0;
      return ok();
    }
    if (is_long && !text.empty() && text.back() == 'L') text.remove_suffix(1);
    std::int64_t value = 0;
    const auto parsed =
        std::from_chars(text.data(), text.data() + text.size(), value);
    const bool complete = parsed.ptr == text.data() + text.size();
    if (complete && parsed.ec == std::errc()) return push_integer(value);
    if (complete && parsed.ec == std::errc::result_out_of_range) {
      push(PickleKind::kBigInteger).text = text;
      return ok();
    }
    return corruption("a number is not written in digits");
  }

  Result<void> push_float() {
    SHOAL_TRY(raw, take(sizeof(double)));
    std::array<char, sizeof(double)> big_endian{};
    std::copy(raw.rbegin(), raw.rend(), big_endian.begin());
    std::memcpy(&push(PickleKind::kFloat).number, big_endian.data(),
                sizeof(double));
    return ok();
  }

  /// The lowest place in the stack that the open group may use.
  [[nodiscard]] std::size_t floor() const {
    return marks_.empty() ? 0 : marks_.back();
  }

  Result<std::uint32_t> pop() {
    if (stack_.size() <= floor()) return corruption("a value is missing");
    const std::uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }

  /// The value on top, which stays.
  Result<std::uint32_t> top() const {
    if (stack_.size() <= floor()) return corruption("a value is missing");
    return stack_.back();
  }

  /// The values since the last mark.
  Result<std::vector<std::uint32_t>> pop_group() {
    if (marks_.empty()) return corruption("a group has no begin");
    const auto begin =
        stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<std::uint32_t> group(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return group;
  }

  /// Puts `items` into `container`.
  Result<void> fill(std::uint32_t container,
                    const std::vector<std::uint32_t>& items) {
    std::size_t depth = pickle_.values[container].depth;
    for (const std::uint32_t item : items) {
      if (item == container) return corruption("a value contains itself");
      depth = std::max(depth, pickle_.values[item].depth + 1);
    }
    if (depth > limits_.max_depth) {
      return resource_exhausted(fmt::format(
          "its values are nested more than {} deep", limits_.max_depth));
    }
    // One list may be made into many dicts.
    items_ += items.size();
    if (items_ > limits_.max_operations) {
      return resource_exhausted(
          fmt::format("its containers hold more than {} "
                      "values",
                      limits_.max_operations));
    }
    PickleValue& value = pickle_.values[container];
    value.depth = depth;
    value.items.insert(value.items.end(), items.begin(), items.end());
    return ok();
  }

  Result<void> push_tuple(const std::vector<std::uint32_t>& items) {
    push(PickleKind::kTuple);
    return fill(stack_.back(), items);
  }

  Result<void> push_tuple_of(std::size_t size) {
    std::vector<std::uint32_t> items(size);
    for (std::size_t i = size; i-- > 0;) {
      SHOAL_TRY(item, pop());
      items[i] = item;
    }
    return push_tuple(items);
  }

  Result<void> append(const std::vector<std::uint32_t>& items) {
    SHOAL_TRY(list, top());
    if (pickle_.values[list].kind != PickleKind::kList) {
      return corruption("values are appended to something else than a list");
    }
    return fill(list, items);
  }

  Result<void> set_items(const std::vector<std::uint32_t>& items) {
    SHOAL_TRY(dict, top());
    if (pickle_.values[dict].kind != PickleKind::kDict ||
        items.size() % 2 != 0) {
      return corruption(
          "keys and values are put into something else than a "
          "dict, or do not come in pairs");
    }
    return fill(dict, items);
  }

  Result<void> memoize(std::uint64_t index) {
    SHOAL_TRY(value, top());
    memo_[index] = value;
    if (memo_.size() > limits_.max_memo) {
      return resource_exhausted(
          fmt::format("it remembers more than {} values", limits_.max_memo));
    }
    return ok();
  }

  Result<void> recall(std::uint64_t index) {
    const auto place = memo_.find(index);
    if (place == memo_.end()) {
      return corruption("it recalls a value that it did not remember");
    }
    stack_.push_back(place->second);
    return ok();
  }

  Result<void> push_callable(std::string_view module, std::string_view name) {
    for (std::size_t i = 0; i < kAllowed.size(); ++i) {
      if (kAllowed[i].module == module && kAllowed[i].name == name) {
        push(PickleKind::kCallable).integer = static_cast<std::int64_t>(i);
        return ok();
      }
    }
    return Error{ErrorCode::kPermissionDenied,
                 fmt::format("{}.{} is not allowed in a weights file; save "
                             "the state_dict alone",
                             shown(module), shown(name))};
  }

  Result<void> push_named_on_stack() {
    SHOAL_TRY(name, pop());
    SHOAL_TRY(module, pop());
    if (pickle_.values[name].kind != PickleKind::kText ||
        pickle_.values[module].kind != PickleKind::kText) {
      return corruption("a name is not text");
    }
    return push_callable(pickle_.values[module].text,
                         pickle_.values[name].text);
  }

  [[nodiscard]] const AllowedName* callable(std::uint32_t index) const {
    const PickleValue& value = pickle_.values[index];
    return value.kind == PickleKind::kCallable
               ? &kAllowed[static_cast<std::size_t>(value.integer)]
               : nullptr;
  }

  /// @return the values of a tuple or list of whole numbers, or nothing
  [[nodiscard]] std::optional<std::vector<std::int64_t>> integers(
      std::uint32_t index) const {
    const PickleValue& value = pickle_.values[index];
    if (value.kind != PickleKind::kTuple && value.kind != PickleKind::kList) {
      return std::nullopt;
    }
    if (value.items.size() > kMaxAxes) return std::nullopt;
    std::vector<std::int64_t> numbers;
    for (const std::uint32_t item : value.items) {
      if (pickle_.values[item].kind != PickleKind::kInteger) {
        return std::nullopt;
      }
      numbers.push_back(pickle_.values[item].integer);
    }
    return numbers;
  }

  /// _rebuild_tensor(storage, offset, size, stride) and, in version 2, what
  /// only training needs.
  Result<void> rebuild_tensor(const std::vector<std::uint32_t>& arguments,
                              bool version2) {
    const bool count_fits = version2
                                ? arguments.size() == 6 || arguments.size() == 7
                                : arguments.size() == 4;
    if (!count_fits) return corruption("a tensor has too few or many parts");
    const PickleValue& storage = pickle_.values[arguments[0]];
    const PickleValue& offset = pickle_.values[arguments[1]];
    const auto shape = integers(arguments[2]);
    const auto strides = integers(arguments[3]);
    if (storage.kind != PickleKind::kStorage ||
        offset.kind != PickleKind::kInteger || !shape || !strides ||
        shape->size() != strides->size()) {
      return corruption(fmt::format(
          "a tensor is not (storage, offset, shape, strides) with up to {} "
          "sides",
          kMaxAxes));
    }
    PickledTensor tensor;
    tensor.storage = static_cast<std::size_t>(storage.integer);
    tensor.offset = offset.integer;
    tensor.shape = *shape;
    tensor.strides = *strides;
    const PickledStorage& from = pickle_.storages[tensor.storage];
    auto checked = check_layout(tensor, from.count);
    if (!checked) {
      return checked.error().within(fmt::format(
          "a tensor of shape [{}] in storage {} of {} elements",
          fmt::join(tensor.shape, ", "), shown(from.key), from.count));
    }
    push(PickleKind::kTensor).integer =
        static_cast<std::int64_t>(pickle_.tensors.size());
    pickle_.tensors.push_back(std::move(tensor));
    return ok();
  }

  /// OrderedDict() or OrderedDict([[key, value], ...]).
  Result<void> make_dict(const std::vector<std::uint32_t>& arguments) {
    if (arguments.size() > 1) return corruption("a dict has many arguments");
    push(PickleKind::kDict);
    const std::uint32_t dict = stack_.back();
    if (arguments.empty()) return ok();
    const PickleValue& list = pickle_.values[arguments[0]];
    if (list.kind != PickleKind::kList) {
      return corruption("a dict is made of something else than a list");
    }
    std::vector<std::uint32_t> items;
    for (const std::uint32_t pair : list.items) {
      const PickleValue& both = pickle_.values[pair];
      if ((both.kind != PickleKind::kList && both.kind != PickleKind::kTuple) ||
          both.items.size() != 2) {
        return corruption("a dict is made of something else than pairs");
      }
      items.insert(items.end(), both.items.begin(), both.items.end());
    }
    return fill(dict, items);
  }

  Result<void> reduce() {
    SHOAL_TRY(arguments_at, pop());
    SHOAL_TRY(function_at, pop());
    const AllowedName* const function = callable(function_at);
    if (function == nullptr ||
        pickle_.values[arguments_at].kind != PickleKind::kTuple) {
      return corruption("it calls something that is no function");
    }
    // Copied, because a call adds values; checked first, so that many calls
    // on one large tuple cost nothing.
    if (pickle_.values[arguments_at].items.size() > kMaxArguments) {
      return corruption("it calls a function with too many arguments");
    }
    const std::vector<std::uint32_t> arguments =
        pickle_.values[arguments_at].items;
    switch (function->callable) {
      case Callable::kOrderedDict:
        return make_dict(arguments);
      case Callable::kRebuildTensor:
        return rebuild_tensor(arguments, false);
      case Callable::kRebuildTensorV2:
        return rebuild_tensor(arguments, true);
      case Callable::kRebuildParameter:
        if (arguments.empty() ||
            pickle_.values[arguments[0]].kind != PickleKind::kTensor) {
          return corruption(
              "a parameter is made of something else than a "
              "tensor");
        }
        stack_.push_back(arguments[0]);
        return ok();
      case Callable::kStorageClass:
        break;
    }
    return corruption(fmt::format("it calls {}.{}, which is no function",
                                  function->module, function->name));
  }

  /// An OrderedDict's own attributes (state_dict()'s _metadata), of no use
  /// here.
  Result<void> drop_attributes() {
    SHOAL_TRY(attributes, pop());
    SHOAL_TRY(object, top());
    if (pickle_.values[object].kind != PickleKind::kDict ||
        pickle_.values[attributes].kind != PickleKind::kDict) {
      return corruption("attributes are set on something else than a dict");
    }
    return ok();
  }

  /// ("storage", class, key, location, count[, None]) -> its storage.
  Result<void> push_storage() {
    SHOAL_TRY(id, pop());
    const PickleValue& tuple = pickle_.values[id];
    const auto part = [&](std::size_t i) -> const PickleValue& {
      return pickle_.values[tuple.items[i]];
    };
    if (tuple.kind != PickleKind::kTuple ||
        (tuple.items.size() != 5 && tuple.items.size() != 6) ||
        part(0).kind != PickleKind::kText || part(0).text != "storage" ||
        part(2).kind != PickleKind::kText ||
        part(4).kind != PickleKind::kInteger || part(4).integer < 0) {
      return corruption(
          "a storage is not (\"storage\", class, key, location, "
          "count)");
    }
    if (tuple.items.size() == 6 && part(5).kind != PickleKind::kNone) {
      return unsupported("a storage is a view of another storage");
    }
    const AllowedName* const type = callable(tuple.items[1]);
    if (type == nullptr || type->callable != Callable::kStorageClass) {
      return corruption("a storage has no class");
    }
    PickledStorage storage{std::string(part(2).text), type->type,
                           static_cast<std::uint64_t>(part(4).integer)};
    const auto [place, is_new] =
        storage_places_.try_emplace(storage.key, pickle_.storages.size());
    if (is_new) {
      pickle_.storages.push_back(std::move(storage));
    } else {
      const PickledStorage& known = pickle_.storages[place->second];
      if (known.type != storage.type || known.count != storage.count) {
        return corruption(fmt::format("storage {} has two types or sizes",
                                      shown(storage.key)));
      }
    }
    push(PickleKind::kStorage).integer =
        static_cast<std::int64_t>(place->second);
    return ok();
  }

  Result<void> open_group() {
    if (marks_.size() >= limits_.max_marks) {
      return resource_exhausted(fmt::format(
          "its groups are nested more than {} deep", limits_.max_marks));
    }
    marks_.push_back(stack_.size());
    return ok();
  }

  Result<void> operate(char code);
  Result<void> operate_on_text(char code);
  Result<void> operate_on_container(char code);

  std::string_view bytes_;
  bool cut_;  ///< bytes_ is not all that there is
  PickleLimits limits_;
  std::size_t at_ = 0;
  std::size_t operation_at_ = 0;
  std::size_t items_ = 0;  ///< in all containers
  Pickle pickle_;
  std::vector<std::uint32_t> stack_;
  std::vector<std::size_t> marks_;  ///< heights of the stack
  std::unordered_map<std::uint64_t, std::uint32_t> memo_;
  std::unordered_map<std::string, std::size_t> storage_places_;
};

// Opcodes are named as in Python's pickletools.
Result<void> Machine::operate(char code) {
  switch (code) {
    case '\x80': {  // PROTO
      SHOAL_TRY(protocol, number<std::uint8_t>());
      if (protocol > 5) {
        return unsupported(
            fmt::format("its protocol is {}; up to 5 is read", protocol));
      }
      return ok();
    }
    case '\x95': {  // FRAME: how much to read ahead
      SHOAL_TRY(size, number<std::uint64_t>());
      if (size > bytes_.size() - at_) return corruption("a frame is cut short");
      return ok();
    }
    case 'N':  // NONE
      push(PickleKind::kNone);
      return ok();
    case '\x88':  // NEWTRUE
    case '\x89':  // NEWFALSE
      push(PickleKind::kBool).integer = code == '\x88' ? 1 : 0;
      return ok();
    case 'J':  // BININT
      return push_number<std::int32_t>();
    case 'K':  // BININT1
      return push_number<std::uint8_t>();
    case 'M':  // BININT2
      return push_number<std::uint16_t>();
    case '\x8a': {  // LONG1
      SHOAL_TRY(size, number<std::uint8_t>());
      return push_long(size);
    }
    case '\x8b': {  // LONG4
      SHOAL_TRY(size, number<std::uint32_t>());
      return push_long(size);
    }
    case 'I':  // INT
      return push_decimal(false);
    case 'L':  // LONG
      return push_decimal(true);
    case 'G':  // BINFLOAT
      return push_float();
    default:
      return operate_on_text(code);
  }
}

Result<void> Machine::operate_on_text(char code) {
  switch (code) {
    case '\x8c':  // SHORT_BINUNICODE
      return push_text<std::uint8_t>();
    case 'X':  // BINUNICODE
      return push_text<std::uint32_t>();
    case '\x8d':  // BINUNICODE8
      return push_text<std::uint64_t>();
    case 'U':  // SHORT_BINSTRING: Python 2's text
      return push_text<std::uint8_t>();
    case 'T':  // BINSTRING
      return push_text<std::uint32_t>();
    case 'C':  // SHORT_BINBYTES
      return push_bytes<std::uint8_t>(PickleKind::kBytes);
    case 'B':  // BINBYTES
      return push_bytes<std::uint32_t>(PickleKind::kBytes);
    case '\x8e':  // BINBYTES8
      return push_bytes<std::uint64_t>(PickleKind::kBytes);
    case 'c': {  // GLOBAL
      SHOAL_TRY(module, line());
      SHOAL_TRY(name, line());
      return push_callable(module, name);
    }
    case '\x93':  // STACK_GLOBAL
      return push_named_on_stack();
    case 'R':  // REDUCE
      return reduce();
    case 'b':  // BUILD
      return drop_attributes();
    case 'Q':  // BINPERSID
      return push_storage();
    case 'q': {  // BINPUT
      SHOAL_TRY(index, number<std::uint8_t>());
      return memoize(index);
    }
    case 'r': {  // LONG_BINPUT
      SHOAL_TRY(index, number<std::uint32_t>());
      return memoize(index);
    }
    case '\x94':  // MEMOIZE
      return memoize(memo_.size());
    case 'h': {  // BINGET
      SHOAL_TRY(index, number<std::uint8_t>());
      return recall(index);
    }
    case 'j': {  // LONG_BINGET
      SHOAL_TRY(index, number<std::uint32_t>());
      return recall(index);
    }
    default:
      return operate_on_container(code);
  }
}

Result<void> Machine::operate_on_container(char code) {
  switch (code) {
    case '(':  // MARK
      return open_group();
    case ')':  // EMPTY_TUPLE
      return push_tuple({});
    case '\x85':  // TUPLE1
      return push_tuple_of(1);
    case '\x86':  // TUPLE2
      return push_tuple_of(2);
    case '\x87':  // TUPLE3
      return push_tuple_of(3);
    case 't': {  // TUPLE
      SHOAL_TRY(items, pop_group());
      return push_tuple(items);
    }
    case ']':  // EMPTY_LIST
      push(PickleKind::kList);
      return ok();
    case '}':  // EMPTY_DICT
      push(PickleKind::kDict);
      return ok();
    case 'a': {  // APPEND
      SHOAL_TRY(item, pop());
      return append({item});
    }
    case 'e': {  // APPENDS
      SHOAL_TRY(items, pop_group());
      return append(items);
    }
    case 's': {  // SETITEM
      SHOAL_TRY(value, pop());
      SHOAL_TRY(key, pop());
      return set_items({key, value});
    }
    case 'u': {  // SETITEMS
      SHOAL_TRY(items, pop_group());
      return set_items(items);
    }
    default:
      return unsupported(
          fmt::format("operation 0x{:02x} is not one that weights files have",
                      static_cast<unsigned char>(code)));
  }
}

}  // namespace

Result<Pickle> parse_pickle(std::string_view bytes,
                            const PickleLimits& limits) {
  return Machine(bytes, limits).run();
}

}  // namespace shoal
