#pragma once

#include <memory>
#include <vector>

#include "engine/views/view.h"

namespace shoal::internal {

/// One view on several devices: a batch is cut into equal shares that the
/// replicas take at the same time. As View.
class ReplicatedView final : public View {
 public:
  /// @param replicas  of equal specs, one or more, each on its own device
  explicit ReplicatedView(std::vector<std::unique_ptr<View>> replicas);

  [[nodiscard]] const ViewSpec& spec() const override {
    return replicas_.front()->spec();
  }
  /// Errors: of the first share that failed.
  [[nodiscard]] Result<Matrix> extract(
      const std::vector<Image>& images) override;

  [[nodiscard]] const std::vector<std::unique_ptr<View>>& replicas() const {
    return replicas_;
  }

 private:
  std::vector<std::unique_ptr<View>> replicas_;
};

}  // namespace shoal::internal
