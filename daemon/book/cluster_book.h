#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/matrix.h"
#include "common/result.h"
#include "daemon/book/epoch_state.h"
#include "daemon/book/event.h"
#include "engine/refine/refinement.h"
#include "store/store.h"

namespace shoal {

/// A view the daemon extracts now.
struct ActiveView {
  ViewKey key;
  ViewSlot slot;
};

/// An image whose processing has come to an end.
struct Arrival {
  ImageSeq seq;
  std::vector<Vector> features;  ///< per active view; empty when it failed
  std::string failure_code;      ///< of the wire protocol; "" when it worked
  std::string failure_message;
};

/// What an Arrival became.
struct Settled {
  ImageSeq seq;
  ImageId id;          ///< when changed
  std::string source;  ///< when changed
  Label label;
  /// False: the image had been deleted, or settled before.
  bool changed = false;
};

/// One image of a run's result on its way into an epoch.
struct StagedRow {
  ImageSeq seq;
  Label label;       ///< cluster: a real id, already mapped
  Vector embedding;  ///< (d) in the new epoch's space
};

/// A person's request to change labels.
struct CorrectionRequest {
  CorrectionKind kind = CorrectionKind::kConfirm;
  std::vector<ImageId> images;
  ClusterId cluster;         ///< target; merge: the survivor; split: origin
  ClusterId other;           ///< merge: the one that ends
  CorrectionSeq correction;  ///< undo: which; none: the latest
};

struct CorrectionOutcome {
  CorrectionSeq correction;
  ClusterId cluster;  ///< target, survivor or new cluster
  std::size_t images = 0;
};

/// Told when the embedding of an image in the current epoch is known, changes
/// or goes away; and when another epoch becomes current.
class EmbeddingListener {
 public:
  virtual ~EmbeddingListener() = default;
  virtual void on_embedding(ImageSeq seq,
                            const Eigen::Ref<const Vector>& embedding) = 0;
  virtual void on_removed(ImageSeq seq) = 0;
  virtual void on_epoch(EpochId epoch, int dim) = 0;
};

/// The one owner of "which image is in which cluster": every change of a
/// label, cluster, epoch or correction goes through here, one at a time, each
/// as one batch of the store. Reads go to the store directly.
///
/// An epoch is written beside the current one (begin_staging, stage) while
/// arrivals go on; finish_staging brings it up to date with what happened
/// meanwhile and flips the pointer. activate does the same for an older
/// epoch (rollback) or a held one.
///
/// Invariants: an image's label in the current epoch exists exactly when it
/// is not pending; a label fixed by a person is kConfirmed in its cluster in
/// every epoch that becomes current; cluster counts equal the labels.
/// After any error nothing has changed, in the store or here.
/// Owner-thread.
class ClusterBook {
 public:
  struct Options {
    int keep_epochs = 3;  ///< published epochs whose data is kept, >= 1
  };

  /// Takes over a store after a start: an epoch left half-written by a crash
  /// is marked failed and its data dropped.
  static Result<std::unique_ptr<ClusterBook>> open(
      Store& store, std::vector<ActiveView> views, Options options,
      EventSink events, EmbeddingListener* listener);

  /// True when the current epoch's model can embed the active views' features.
  [[nodiscard]] bool can_embed() const { return !input_of_model_.empty(); }
  [[nodiscard]] const EpochState& current() const { return current_; }
  [[nodiscard]] const LabelTotals& totals() const { return totals_; }
  [[nodiscard]] const std::vector<ActiveView>& views() const { return views_; }
  /// Other views are extracted from now on.
  void use_views(std::vector<ActiveView> views);

  // ---- arrivals
  /// Stores features, embedding and label of each image and takes its pending
  /// mark away. Result i is about arrivals[i].
  Result<std::vector<Settled>> arrive(const std::vector<Arrival>& arrivals);
  /// The embedding of an image that is not stored.
  /// @param features  per active view
  /// Errors: kFailedPrecondition when can_embed() does not hold.
  Result<Vector> embed(const std::vector<Vector>& features) const;
  /// Adds the features of images that were settled under other views.
  Result<void> add_features(const std::vector<Arrival>& arrivals);

  // ---- runs and epochs
  /// Gives the run its number and makes it known as staging.
  Result<EpochId> begin_run(const std::string& method,
                            const std::string& reason);
  /// Ends a run that gives no epoch.
  Result<void> end_run(EpochId run, EpochStatus status,
                       const std::string& reason);
  /// Opens the run's epoch for rows; maps candidate clusters to ids.
  /// @return the id of each of candidate.clusters
  Result<std::vector<ClusterId>> begin_staging(EpochId run,
                                               const Candidate& candidate);
  /// Rows of images deleted meanwhile are skipped.
  Result<void> stage(const std::vector<StagedRow>& rows);
  /// Labels up to `limit` images that arrived since the run read the store.
  /// @return true when none is left
  Result<bool> catch_up_staging(std::size_t limit);
  /// Publishes the staged epoch, or keeps it as held with `reason`.
  Result<void> finish_staging(bool publish, const std::string& reason);
  /// Makes a published or held epoch current.
  Result<void> activate(EpochId epoch);
  /// After a flip: writes history and events of the next `limit` images for
  /// those that changed cluster. @return true when nothing is left to do
  Result<bool> note_moves(std::size_t limit);
  /// Removes the data of published epochs beyond Options::keep_epochs, one
  /// per call. @return true when nothing is left to do
  Result<bool> drop_an_old_epoch();

  // ---- people
  Result<CorrectionOutcome> correct(const CorrectionRequest& request);
  Result<void> name_cluster(ClusterId cluster, const std::string& name);
  /// @return how many of `images` existed
  Result<std::size_t> remove(const std::vector<ImageId>& images);

  /// The cluster that `cluster` is now: itself when it is alive, else where a
  /// merge took it. Errors: kNotFound when there is none such.
  Result<ClusterId> resolve(ClusterId cluster) const;

 private:
  ClusterBook(Store& store, std::vector<ActiveView> views, Options options,
              EventSink events, EmbeddingListener* listener);

  struct LabelledImage {
    ImageRecord record;
    Label label;
  };
  /// A flip whose moved images are still to be told.
  struct Moves {
    EpochId from;
    EpochId to;
    std::string cause;
    ImageSeq cursor;
  };

  Result<void> load_current(EpochId epoch);
  Result<void> reload();
  Result<void> commit(std::unique_ptr<StoreBatch> batch, Durability durability);
  void publish_event(std::string topic, nlohmann::json body) const;

  Result<std::vector<LabelledImage>> find_labelled(
      const std::vector<ImageId>& ids) const;
  Result<CorrectionOutcome> fix(const CorrectionRequest& request);
  Result<CorrectionOutcome> reject(const CorrectionRequest& request);
  Result<CorrectionOutcome> merge(const CorrectionRequest& request);
  Result<CorrectionOutcome> split(const CorrectionRequest& request);
  Result<CorrectionOutcome> undo(const CorrectionRequest& request);

  /// Gives labels in `state` to the next `limit` images after `cursor` that
  /// lack one and are not pending.
  Result<bool> catch_up(EpochState& state, ImageSeq& cursor, std::size_t limit);
  /// Applies what people did since the epoch was learned.
  Result<void> replay_corrections(EpochState& state);
  Result<void> absorb(EpochState& state, ClusterId from, ClusterId into);
  Result<void> apply_fixed_labels(EpochState& state);
  /// Gives clusters that have images but no prototypes one at the mean of
  /// their members.
  Result<void> give_prototypes(EpochState& state);
  Result<void> flip(EpochState& state, const std::string& cause);
  Result<Matrix> embed_stored(const EpochState& state,
                              const std::vector<ImageSeq>& seqs) const;
  Result<ImageSeq> low_water() const;

  Store& store_;
  std::vector<ActiveView> views_;
  Options options_;
  EventSink events_;
  EmbeddingListener* listener_;

  EpochState current_;
  /// Per input of the current model the position in views_; empty when the
  /// model reads a view that is not active (or there is no model).
  std::vector<std::size_t> input_of_model_;
  LabelTotals totals_;

  std::optional<EpochState> staging_;
  ImageSeq staging_cursor_;
  std::map<ClusterId, std::vector<ClusterId>> staging_ended_;
  std::map<ClusterId, std::vector<ClusterId>> staging_born_;
  std::optional<Moves> moves_;
};

}  // namespace shoal
