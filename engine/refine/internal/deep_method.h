#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/refine/refinement.h"

namespace shoal {

/// The papers' methods over stored views, each view's rows L2-normalised (MV
/// paper section 3):
/// - jule, idec: on the views side by side;
/// - mvec-km, mvec-jule, mvec-idec: each view clustered alone, an ensemble of
///   the partitions; z is km's;
/// - dmvc-fix-jule, dmvc-fix-idec: MVnet as it is pretrained;
/// - dmvc: MVnet refined end to end (pretrained by JULE).
///
/// All learn on a sample (max_train_images, and so many images that their
/// views take at most 1 GiB); the other images get the nearest centroid in z,
/// where a centroid is the mean of its training images.
/// Immutable, thread-safe.
class DeepMethod final : public RefinementMethod {
 public:
  enum class Kind { kJoined, kEnsemble, kFixed, kEndToEnd };
  enum class Base { kKMeans, kJule, kIdec };
  struct Recipe {
    std::string_view name;
    Kind kind;
    Base base;
  };
  [[nodiscard]] static const std::vector<Recipe>& recipes();

  explicit DeepMethod(const Recipe& recipe) : recipe_(recipe) {}
  [[nodiscard]] std::string_view name() const override { return recipe_.name; }
  Result<MethodResult> learn(const MethodInput& input,
                             const RunControl& control) const override;

 private:
  const Recipe recipe_;
};

}  // namespace shoal
