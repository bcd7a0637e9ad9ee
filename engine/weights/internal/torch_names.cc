#include "engine/weights/internal/torch_names.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace shoal::internal {
namespace {

/// A module's name in a release and in our architecture.
struct NamePair {
  std::string_view theirs;
  std::string_view ours;
};

bool begins_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         text.substr(text.size() - end.size()) == end;
}

bool is_left_out(const std::string& name) {
  return ends_with(name, "num_batches_tracked") || begins_with(name, "aux1.") ||
         begins_with(name, "aux2.") || begins_with(name, "AuxLogits.");
}

/// Replaces `theirs` at the start of `name`, where a "." follows, by `ours`.
template <typename Pairs>
std::optional<std::string> replace_module(const std::string& name,
                                          const Pairs& pairs) {
  for (const NamePair& pair : pairs) {
    if (begins_with(name, pair.theirs) && name.size() > pair.theirs.size() &&
        name[pair.theirs.size()] == '.') {
      return std::string(pair.ours) + name.substr(pair.theirs.size());
    }
  }
  return std::nullopt;
}

/// "blocks.STAGE.BLOCK.REST"
struct TimmBlock {
  int stage = 0;
  int block = 0;
  std::string rest;

  [[nodiscard]] std::pair<int, int> place() const { return {stage, block}; }
};

std::optional<TimmBlock> parse_block(const std::string& name) {
  constexpr std::string_view kStart = "blocks.";
  if (!begins_with(name, kStart)) return std::nullopt;
  TimmBlock parsed;
  const char* const end = name.data() + name.size();
  auto read = std::from_chars(name.data() + kStart.size(), end, parsed.stage);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '.') {
    return std::nullopt;
  }
  read = std::from_chars(read.ptr + 1, end, parsed.block);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '.') {
    return std::nullopt;
  }
  parsed.rest = std::string(read.ptr + 1, end);
  return parsed;
}

// A block with an expansion, and the first one, which has none. The numbers
// are those of torchvision's MobileNetV2; its EfficientNet has squeeze and
// excitation before the last convolution.
constexpr std::array kExpanded = {
    NamePair{"conv_pw", "0.0"}, NamePair{"bn1", "0.1"},
    NamePair{"conv_dw", "1.0"}, NamePair{"bn2", "1.1"},
    NamePair{"conv_pwl", "2"},  NamePair{"bn3", "3"}};
constexpr std::array kUnexpanded = {
    NamePair{"conv_dw", "0.0"}, NamePair{"bn1", "0.1"},
    NamePair{"conv_pw", "1"}, NamePair{"bn2", "2"}};
constexpr std::array kExpandedExcited = {
    NamePair{"conv_pw", "0.0"},          NamePair{"bn1", "0.1"},
    NamePair{"conv_dw", "1.0"},          NamePair{"bn2", "1.1"},
    NamePair{"se.conv_reduce", "2.fc1"}, NamePair{"se.conv_expand", "2.fc2"},
    NamePair{"conv_pwl", "3.0"},         NamePair{"bn3", "3.1"}};
constexpr std::array kUnexpandedExcited = {
    NamePair{"conv_dw", "0.0"},          NamePair{"bn1", "0.1"},
    NamePair{"se.conv_reduce", "1.fc1"}, NamePair{"se.conv_expand", "1.fc2"},
    NamePair{"conv_pw", "2.0"},          NamePair{"bn2", "2.1"}};

/// timm's names of the MobileNet family ("conv_stem", "blocks.0.0.") in those
/// of our architectures.
class TimmNames {
 public:
  TimmNames(const StoredTensors& tensors, const std::string& architecture)
      : architecture_(architecture) {
    for (const auto& [name, tensor] : tensors) {
      const auto block = parse_block(name);
      if (block) places_.insert(block->place());
    }
  }

  [[nodiscard]] std::optional<std::string> rename(
      const std::string& name) const {
    const auto block = parse_block(name);
    if (architecture_ == "mobilenet_v1") {
      return block ? mobilenet_v1_block(*block)
                   : replace_module(name,
                                    std::array{NamePair{"conv_stem", "stem"},
                                               NamePair{"bn1", "stem_bn"},
                                               NamePair{"classifier", "fc"}});
    }
    if (!block) {
      const std::string last = "features." + std::to_string(last_feature());
      return replace_module(
          name, std::vector{NamePair{"conv_stem", "features.0.0"},
                            NamePair{"bn1", "features.0.1"},
                            NamePair{"conv_head", last + ".0"},
                            NamePair{"bn2", last + ".1"},
                            NamePair{"classifier", "classifier.1"}});
    }
    const bool first = block->place() == std::pair(0, 0);
    if (architecture_ == "mobilenet_v2") {
      const std::string start =
          "features." + std::to_string(index(*block) + 1) + ".conv.";
      return prefixed(start, first ? replace_module(block->rest, kUnexpanded)
                                   : replace_module(block->rest, kExpanded));
    }
    const std::string start = "features." + std::to_string(block->stage + 1) +
                              "." + std::to_string(block->block) + ".block.";
    return prefixed(start, block->stage == 0
                               ? replace_module(block->rest, kUnexpandedExcited)
                               : replace_module(block->rest, kExpandedExcited));
  }

 private:
  static std::optional<std::string> prefixed(const std::string& start,
                                             std::optional<std::string> rest) {
    if (rest) rest->insert(0, start);
    return rest;
  }

  /// Number of blocks before this one.
  [[nodiscard]] std::ptrdiff_t index(const TimmBlock& block) const {
    return std::distance(places_.begin(), places_.find(block.place()));
  }

  [[nodiscard]] std::size_t last_feature() const {
    if (architecture_ == "mobilenet_v2") return places_.size() + 1;
    return places_.empty()
               ? 0
               : static_cast<std::size_t>(places_.rbegin()->first) + 2;
  }

  [[nodiscard]] std::optional<std::string> mobilenet_v1_block(
      const TimmBlock& block) const {
    const std::string i = std::to_string(index(block));
    return replace_module(block.rest,
                          std::vector{NamePair{"conv_dw", "dw" + i},
                                      NamePair{"bn1", "dw" + i + "_bn"},
                                      NamePair{"conv_pw", "pw" + i},
                                      NamePair{"bn2", "pw" + i + "_bn"}});
  }

  const std::string& architecture_;
  std::set<std::pair<int, int>> places_;  ///< stage and block
};

/// "denselayer1.norm.1." -> "denselayer1.norm1.": torchvision's published
/// files are older than its code.
std::string densenet_name(std::string name) {
  for (const std::string_view part : {".norm.", ".conv."}) {
    const std::size_t at = name.find(part);
    if (at != std::string::npos && name.find(".denselayer") < at) {
      name.erase(at + part.size() - 1, 1);
    }
  }
  return name;
}

/// A tensor of the shape's first two sides, the others being 1, or the other
/// way round, or all sides after the first joined.
StoredTensor reshaped(StoredTensor tensor, std::vector<std::int64_t> shape) {
  tensor.shape = std::move(shape);
  return tensor;
}

/// (out, in, h, w) -> (out, in * h * w)
StoredTensor as_linear(const StoredTensor& tensor) {
  if (tensor.shape.size() < 2) return tensor;
  std::int64_t inputs = 1;
  for (std::size_t i = 1; i < tensor.shape.size(); ++i) {
    inputs *= tensor.shape[i];
  }
  return reshaped(tensor, {tensor.shape[0], inputs});
}

void rename_vgg(std::string& name, StoredTensor& tensor) {
  const auto renamed = replace_module(
      name, std::array{NamePair{"pre_logits.fc1", "classifier.0"},
                       NamePair{"pre_logits.fc2", "classifier.3"},
                       NamePair{"head.fc", "classifier.6"}});
  if (!renamed) return;
  name = *renamed;
  tensor = as_linear(tensor);
}

void rename_xception(std::string& name, StoredTensor& tensor) {
  const auto renamed =
      replace_module(name, std::array{NamePair{"last_linear", "fc"}});
  if (renamed) name = *renamed;
  if (ends_with(name, ".pointwise.weight") && tensor.shape.size() == 2) {
    tensor = reshaped(tensor, {tensor.shape[0], tensor.shape[1], 1, 1});
  }
}

}  // namespace

Result<StoredTensors> named_from_torch(const StoredTensors& tensors,
                                       const std::string& architecture) {
  const bool is_timm_mobile = tensors.count("conv_stem.weight") != 0;
  const TimmNames timm(tensors, architecture);
  StoredTensors named;
  for (const auto& [theirs, stored] : tensors) {
    if (is_left_out(theirs)) continue;
    std::string name = theirs;
    StoredTensor tensor = stored;
    if (is_timm_mobile) {
      const auto renamed = timm.rename(name);
      if (!renamed) {
        return invalid_argument("tensor " + theirs +
                                " has no place in architecture " +
                                architecture);
      }
      name = *renamed;
    } else if (begins_with(architecture, "densenet")) {
      name = densenet_name(std::move(name));
    } else if (begins_with(architecture, "vgg")) {
      rename_vgg(name, tensor);
    } else if (architecture == "xception") {
      rename_xception(name, tensor);
    }
    if (!named.emplace(name, std::move(tensor)).second) {
      return invalid_argument("two tensors are to be " + name);
    }
  }
  return named;
}

}  // namespace shoal::internal
