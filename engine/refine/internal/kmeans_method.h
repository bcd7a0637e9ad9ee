#pragma once

#include "engine/refine/refinement.h"

namespace shoal {

/// Method "km" of make_refinement_method. Immutable, thread-safe.
class KMeansMethod final : public RefinementMethod {
 public:
  [[nodiscard]] std::string_view name() const override { return "km"; }
  Result<MethodResult> learn(const MethodInput& input,
                             const RunControl& control) const override;
};

/// The rows to train on, ascending: all, or `limit` of them. Of the rows in
/// groups as many as fit in half of that, taken from the groups in turn so
/// that each is there; the rest so that the strata keep their shares.
[[nodiscard]] std::vector<std::size_t> training_sample(const MethodInput& input,
                                                       std::size_t limit,
                                                       std::uint64_t seed);

/// Position of the centroid nearest to `z` of those that are allowed, or -1.
template <typename Allowed>
int nearest_allowed(const Eigen::Ref<const Vector>& z, MatrixView centroids,
                    Allowed allowed) {
  int nearest = -1;
  float best = 0;
  for (Eigen::Index c = 0; c < centroids.rows(); ++c) {
    if (!allowed(static_cast<int>(c))) continue;
    const float squared = (centroids.row(c).transpose() - z).squaredNorm();
    if (nearest < 0 || squared < best) {
      nearest = static_cast<int>(c);
      best = squared;
    }
  }
  return nearest;
}

[[nodiscard]] inline Error run_cancelled() {
  return {ErrorCode::kCancelled, "the refinement run was cancelled"};
}

[[nodiscard]] inline bool is_cancelled(const RunControl& control) {
  return control.cancelled && control.cancelled();
}

inline void report(const RunControl& control, std::string_view stage,
                   double fraction) {
  if (control.progress) control.progress(stage, fraction);
}

}  // namespace shoal
