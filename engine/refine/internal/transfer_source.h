#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "engine/online/transfer_embedding.h"
#include "engine/refine/refinement.h"

namespace shoal {

/// The views that a round clusters: some of the stored ones and, once a head
/// is learned, the transfer view. Borrows the stored source. Owner-thread.
class RoundSource final : public FeatureSource {
 public:
  /// @param kept  positions of the stored views to cluster
  RoundSource(FeatureSource& stored, std::vector<std::size_t> kept);

  [[nodiscard]] const std::vector<EmbeddingInput>& inputs() const override {
    return inputs_;
  }
  [[nodiscard]] std::size_t size() const override { return stored_.size(); }
  Result<std::vector<Matrix>> read(
      const std::vector<std::size_t>& rows) override;

  /// From now on there is a transfer view too.
  /// @param net  position of the stored view that the head reads
  void use_head(std::size_t net, TransferHead head);
  /// The model over the stored views that `inner`, learned from this source,
  /// comes to.
  Result<std::unique_ptr<EmbeddingModel>> over_stored(
      std::unique_ptr<EmbeddingModel> inner) const;

 private:
  FeatureSource& stored_;
  std::vector<std::size_t> kept_;
  std::optional<TransferInputs> transfer_;
  std::vector<EmbeddingInput> inputs_;
};

/// Learns the transfer head from rows whose label is final.
/// @param net     position of the stored view that it reads
/// @param rows    ascending; those beyond what fits in 1 GiB are left out,
///   every class keeping some
/// @param labels  (rows), every class 0..classes-1 at least once
/// Errors: those of reading and of fit_transfer_head.
[[nodiscard]] Result<TransferHead> learn_head(
    FeatureSource& stored, std::size_t net,
    const std::vector<std::size_t>& rows, const std::vector<int>& labels,
    int classes, const RefinementOptions& options, const RunControl& control);

}  // namespace shoal
