#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "common/ids.h"
#include "common/matrix.h"
#include "common/result.h"
#include "engine/online/assigner.h"
#include "engine/online/embedding_model.h"
#include "store/store.h"

namespace shoal {

/// Scores of an epoch that say what its run learned from: how many images, and
/// the number of the last.
inline constexpr const char* kImagesLearned = "images_learned";
inline constexpr const char* kLearnedUpTo = "learned_up_to";

/// The last image that the epoch's run learned from; images after it, and
/// earlier ones that were pending then, came since.
[[nodiscard]] ImageSeq learned_up_to(const EpochRecord& epoch);

/// One epoch in memory: its record, clusters, embedding model and assigner.
/// Keeps cluster sizes in step with the labels that are put through it.
/// Epoch 0 stands for "before the first": no model, only the pool.
///
/// Changes go into a StoreBatch; the state is right only once that batch is
/// committed, so after a failed commit the state must be loaded again.
/// Owner-thread.
class EpochState {
 public:
  /// Reads the epoch from the store (epoch 0: an empty state).
  static Result<EpochState> load(const Store& store, EpochId epoch);
  /// A new epoch that the store does not know yet.
  EpochState(EpochRecord record, std::shared_ptr<const EmbeddingModel> model);

  [[nodiscard]] EpochId id() const { return record_.id; }
  [[nodiscard]] EpochRecord& record() { return record_; }
  [[nodiscard]] const EpochRecord& record() const { return record_; }
  [[nodiscard]] const EmbeddingModel* model() const { return model_.get(); }
  [[nodiscard]] std::shared_ptr<const EmbeddingModel> shared_model() const {
    return model_;
  }
  /// Without the pool.
  [[nodiscard]] const std::map<ClusterId, ClusterRecord>& clusters() const {
    return clusters_;
  }
  [[nodiscard]] bool has_cluster(ClusterId cluster) const {
    return clusters_.count(cluster) != 0;
  }
  [[nodiscard]] std::uint64_t pool_size() const { return pool_.size; }
  [[nodiscard]] std::uint64_t confirmed() const;

  /// Adds or replaces a cluster's prototypes, keeping its counts.
  void set_prototypes(ClusterId cluster, EpochId born,
                      std::vector<Prototype> prototypes);
  /// Takes out a cluster that has no images left.
  void erase_cluster(ClusterId cluster, StoreBatch& batch);

  /// The label that the nearest centroid gives.
  /// @param embedding  (d)
  [[nodiscard]] Label assign(const Eigen::Ref<const Vector>& embedding,
                             const std::vector<ClusterId>& must_not);
  /// The label of a person's choice: confirmed in `cluster`, with the
  /// confidence and distance that the centroids give it there.
  [[nodiscard]] Label confirmed_label(
      ClusterId cluster, const std::optional<Vector>& embedding) const;

  /// Sets an image's label and counts it. `after.cluster` must be the pool or
  /// a cluster of this epoch.
  void put_label(StoreBatch& batch, ImageSeq seq,
                 const std::optional<Label>& before, const Label& after);
  void remove_label(StoreBatch& batch, ImageSeq seq, const Label& before);

  /// Writes the records of clusters whose counts or prototypes changed since
  /// the last call.
  void write_clusters(StoreBatch& batch);
  /// Marks every cluster as changed: for the first write of a new epoch.
  void touch_all();

 private:
  void count(const Label& label, std::int64_t by);

  EpochRecord record_;
  std::shared_ptr<const EmbeddingModel> model_;
  std::map<ClusterId, ClusterRecord> clusters_;
  ClusterRecord pool_;
  std::set<ClusterId> touched_;
  /// Made when first needed after a change of prototypes.
  std::optional<Assigner> assigner_;
};

}  // namespace shoal
