#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/refine/refinement.h"
#include "store/store.h"

namespace shoal {

/// The images of a checkpoint that a run can learn from: settled, decoded,
/// with the features of every view. Rows are in order of arrival.
/// Owner-thread.
class CheckpointSource : public FeatureSource {
 public:
  /// Reads which images there are (not their features).
  /// @param views  ViewKey::text() each
  /// Errors: kNotFound for a view that the store does not have.
  static Result<std::unique_ptr<CheckpointSource>> open(
      Store& store, const std::vector<std::string>& views);

  [[nodiscard]] const std::vector<EmbeddingInput>& inputs() const override {
    return inputs_;
  }
  [[nodiscard]] std::size_t size() const override { return seqs_.size(); }
  Result<std::vector<Matrix>> read(
      const std::vector<std::size_t>& rows) override;

  [[nodiscard]] const std::vector<ImageSeq>& seqs() const { return seqs_; }
  /// Writes into its scores what the run learned from, which the epoch's other
  /// records do not keep: they move on with what arrives.
  void note_learned(Candidate& candidate) const;
  /// Settled images that lack features and are left out.
  [[nodiscard]] std::size_t left_out() const { return left_out_; }
  /// What is settled about each row in the checkpoint's current epoch.
  Result<std::vector<RowConstraint>> constraints() const;
  /// The checkpoint's current epoch, as a run compares itself with it.
  Result<EarlierEpoch> earlier() const;

 private:
  explicit CheckpointSource(Store& store) : store_(store) {}

  Store& store_;
  std::vector<EmbeddingInput> inputs_;
  std::vector<ViewSlot> slots_;
  std::vector<ImageSeq> seqs_;
  std::size_t left_out_ = 0;
};

}  // namespace shoal
