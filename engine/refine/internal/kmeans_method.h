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

}  // namespace shoal
