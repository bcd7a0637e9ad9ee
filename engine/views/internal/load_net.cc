#include "engine/views/internal/load_net.h"

#include <algorithm>
#include <string>

#include <spdlog/fmt/fmt.h>

#include "engine/views/cnn.h"
#include "engine/views/internal/architectures.h"
#include "engine/views/internal/translated.h"
#include "engine/views/safetensors.h"

namespace shoal::internal {
namespace {

nlohmann::json parse_variant(const ModelFolder& model) {
  return nlohmann::json::parse(model.variant, nullptr,
                               /*allow_exceptions=*/false);
}

Result<const Architecture*> find_architecture(const ModelFolder& model) {
  const auto& known = architectures();
  const auto found =
      std::find_if(known.begin(), known.end(), [&](const auto& candidate) {
        return candidate.name == model.architecture;
      });
  if (found == known.end()) {
    return unsupported(fmt::format("architecture {} is not known; known are {}",
                                   model.architecture,
                                   fmt::join(cnn_architectures(), ", ")));
  }
  return &*found;
}

/// @param make_builder  NetBuilder(double batch_norm_epsilon)
template <typename MakeBuilder>
Result<Net> build_net(const ModelFolder& model,
                      const Architecture& architecture,
                      const MakeBuilder& make_builder) {
  return translated([&]() -> Result<Net> {
    const auto json = parse_variant(model);
    ObjectReader variant(json, "variant.");
    NetBuilder builder = make_builder(variant.positive(
        "batch_norm_epsilon", architecture.batch_norm_epsilon));
    Net net = architecture.build(builder, variant);
    variant.refuse_unknown_keys();
    SHOAL_TRY(variant.finish());
    if (model.bgr && json.value("grey", false)) {
      return invalid_argument(
          "input.channels is \"bgr\"; expected \"rgb\" where variant.grey is "
          "true");
    }
    const auto built = builder.finish();
    if (!built) return built.error().within(model.weights.string());
    return net;
  });
}

}  // namespace

Result<void> refuse_variant(const ModelFolder& model) {
  const auto json = parse_variant(model);
  ObjectReader variant(json, "variant.");
  variant.refuse_unknown_keys();
  return variant.finish();
}

Result<Net> load_net(const ModelFolder& model) {
  SHOAL_TRY(architecture, find_architecture(model));
  SHOAL_TRY(weights, SafetensorsFile::open(model.weights));
  return build_net(model, *architecture, [&](double batch_norm_epsilon) {
    return NetBuilder(*weights, c10::Device(c10::kCPU), batch_norm_epsilon);
  });
}

Result<Net> random_net(const ModelFolder& model, std::uint64_t seed) {
  SHOAL_TRY(architecture, find_architecture(model));
  return build_net(model, *architecture, [&](double) {
    return NetBuilder(seed, c10::Device(c10::kCPU));
  });
}

}  // namespace shoal::internal
