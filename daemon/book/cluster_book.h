#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
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

[[nodiscard]] nlohmann::json cluster_json(ClusterId cluster);

/// Row i of `rows`, or nothing where it is NaN (there is no embedding).
[[nodiscard]] std::optional<Vector> embedding_row(const Matrix& rows,
                                                  std::size_t i);

/// Told when the embedding of an image in an epoch is known or goes away, and
/// when another epoch becomes current. Called on the book's thread.
class EmbeddingListener {
 public:
  virtual ~EmbeddingListener() = default;
  virtual void on_embedding(EpochId epoch, ImageSeq seq,
                            const Eigen::Ref<const Vector>& embedding) = 0;
  virtual void on_removed(ImageSeq seq) = 0;
  virtual void on_epoch(EpochId epoch, int dim) = 0;
};

/// The one owner of "which image is in which cluster": every change of a
/// label, cluster, epoch or correction goes through here, one at a time, each
/// as one batch of the store. Reads go to the store directly.
///
/// An epoch is written beside the current one (begin_staging, stage) while
/// arrivals go on, or an older or held one is taken up (begin_activation);
/// catch_up labels in it what arrived meanwhile, piece by piece; finish_staging
/// brings it fully up to date and flips the pointer.
///
/// Invariants: an image's label in the current epoch exists exactly when it
/// is not pending; a label fixed by a person, or by a run in the current
/// epoch's ancestry, is kConfirmed in its cluster in every epoch that becomes
/// current, and nothing else is; no image is in a cluster that a person ruled
/// out for it; cluster counts equal the labels. After any error nothing has
/// changed, in the store or here, but that an epoch being staged may be given
/// up (its next step says so). Owner-thread.
class ClusterBook {
 public:
  struct Options {
    int keep_epochs =
        3;  ///< published epochs whose data is kept, >= 1; held too
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

  /// Of the last `limit` images that came since the current epoch and belong
  /// to no cluster, how many lie close to each other (rows_with_fellows, within
  /// sqrt(2) times the median novelty threshold): the makings of clusters.
  Result<std::size_t> dense_pool(std::size_t limit) const;

  // ---- runs and epochs
  /// Gives the run its number and makes it known as staging.
  Result<EpochId> begin_run(const std::string& method,
                            const std::string& reason);
  /// Lets a run take over what a failed one read of the store: the labels and
  /// corrections of that time. @return false when it cannot, since another
  /// epoch is current by now or that run did not fail
  Result<bool> continue_run(EpochId run, EpochId failed);
  /// Ends a run that gives no epoch.
  Result<void> end_run(EpochId run, EpochStatus status,
                       const std::string& reason);
  /// Opens the run's epoch for rows; maps candidate clusters to ids.
  /// @return the id of each of candidate.clusters
  Result<std::vector<ClusterId>> begin_staging(EpochId run,
                                               const Candidate& candidate);
  /// Rows of images deleted meanwhile are skipped.
  Result<void> stage(const std::vector<StagedRow>& rows);
  /// Takes up a published or held epoch, to make it current again.
  /// Errors: kNotFound; kFailedPrecondition when it is current or has no data.
  Result<void> begin_activation(EpochId epoch);
  /// Looks at up to `limit` images and labels the settled ones that the staged
  /// epoch has no label for. @return true when all is done but what settles
  /// from now on, which finish_staging labels
  Result<bool> catch_up(std::size_t limit);
  /// Publishes the staged epoch, or keeps it as held with `reason`.
  Result<void> finish_staging(bool publish, const std::string& reason);
  /// Forgets the staged epoch; what was written into it stays.
  void abandon_staging() { staging_.reset(); }
  /// After a flip: writes history and events of the next `limit` images for
  /// those that changed cluster. @return true when nothing is left to do
  Result<bool> note_moves(std::size_t limit);
  /// Removes the data of published epochs beyond Options::keep_epochs, and of
  /// held ones beyond as many, the oldest first, one per call. @return true
  /// when nothing is left to do
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
    std::optional<Vector> embedding;
  };
  /// A correction while it is put together.
  struct Correction {
    CorrectionRecord record;
    LabelTotals totals;
    std::unique_ptr<StoreBatch> batch;
    std::vector<Event> events;
  };
  /// What the corrections in force settle for one image.
  struct Settlement {
    std::optional<FixedLabel> fixed;
    std::vector<ClusterId> must_not;
  };
  /// A flip whose moved images are still to be told.
  struct Moves {
    EpochId from;
    EpochId to;
    std::string cause;
    ImageSeq cursor;
  };

  /// Reads the current epoch and the totals again when stale.
  Result<void> refresh();
  Result<void> commit(std::unique_ptr<StoreBatch> batch, Durability durability);
  void publish_event(std::string topic, nlohmann::json body) const;

  Result<std::vector<LabelledImage>> find_labelled(
      const std::vector<ImageId>& ids) const;
  /// @param without  a correction that is taken as undone
  /// @param epochs  those whose runs' confirmations are in force
  Result<std::map<ImageSeq, Settlement>> settlements(
      const std::vector<ImageSeq>& seqs, CorrectionSeq without,
      const std::set<EpochId>& epochs) const;
  void relabel(Correction& correction, const ImageRecord& image,
               const Label& before, const Label& after);
  Result<CorrectionOutcome> fix(const CorrectionRequest& request,
                                Correction& correction);
  Result<CorrectionOutcome> reject(const CorrectionRequest& request,
                                   Correction& correction);
  Result<CorrectionOutcome> merge(const CorrectionRequest& request,
                                  Correction& correction);
  Result<CorrectionOutcome> split(const CorrectionRequest& request,
                                  Correction& correction);
  Result<CorrectionOutcome> undo(const CorrectionRequest& request,
                                 Correction& correction);
  Result<CorrectionRecord> correction_to_undo(CorrectionSeq wanted) const;
  /// Brings the absorbed cluster of an undone merge back, without images.
  Result<void> revive(EpochState& state, const CorrectionRecord& merge);
  static void hand_over_prototypes(EpochState& state, ClusterId from,
                                   ClusterId into);

  /// Applies to an epoch what the corrections say.
  /// @param first_time  the epoch is a run's that was never current
  Result<void> replay_corrections(EpochState& state, bool first_time);
  Result<void> absorb(EpochState& state, const CorrectionRecord& merge);
  Result<void> part(EpochState& state, const CorrectionRecord& merge);
  /// Takes images out of clusters ruled out for them.
  /// @param withdraw  takes confirmations that are not fixed back, too
  Result<void> enforce(EpochState& state, const std::vector<ImageSeq>& seqs,
                       bool withdraw);
  Result<void> apply_fixed(
      EpochState& state,
      const std::vector<std::pair<ImageSeq, FixedLabel>>& fixed);
  Result<void> apply_fixed_labels(EpochState& state);
  /// Gives clusters that have images but no prototypes one at the mean of
  /// their members; takes out those without images that are new here.
  Result<void> tidy_clusters(EpochState& state);
  Result<void> flip(const std::string& cause);
  /// Clusters of epoch `with` that hold at least a tenth of a sample of the
  /// images of `cluster` in epoch `of`, the largest share first.
  Result<std::vector<ClusterId>> overlap(EpochId of, ClusterId cluster,
                                         EpochId with) const;
  Result<Matrix> embed_stored(const EpochState& state,
                              const std::vector<ImageSeq>& seqs) const;
  /// How fixed labels differ after a flip: by image the label, or none.
  using FixedChanges = std::map<ImageSeq, std::optional<FixedLabel>>;
  /// The epoch and those that it descends from.
  Result<std::set<EpochId>> ancestry(EpochId epoch) const;
  /// What runs' confirmations come into force, or leave it, when `to` becomes
  /// current. Images deleted since are left out.
  Result<FixedChanges> fixed_changes(EpochId to) const;
  /// Takes back what a run would confirm in clusters that people merged, split
  /// or brought back since it read the store: it did not know them.
  Result<void> leave_to_people(EpochState& state);
  /// The images that the staged epoch confirms and nobody has fixed.
  Result<CorrectionRecord> run_confirmations(const EpochState& state) const;
  /// Of `members` in the staged epoch those that it confirms and nobody has
  /// fixed, with their labels.
  Result<std::vector<CorrectionChange>> confirmed_unfixed(
      const EpochState& state, const std::vector<Member>& members) const;
  /// Images that a run confirmed in what `merge` absorbed, of which the merge
  /// does not know: the run was rolled back then.
  Result<std::vector<ImageSeq>> confirmed_behind(
      const CorrectionRecord& merge, const std::set<EpochId>& epochs) const;
  /// fixed records as they will be after the flip.
  Result<std::vector<std::optional<FixedLabel>>> fixed_after_flip(
      const std::vector<ImageSeq>& seqs) const;
  struct CaughtUp {
    ImageSeq up_to;          ///< the last image looked at
    ImageSeq settled_up_to;  ///< before the first of them that is pending
    bool last = false;       ///< no image follows
  };
  /// As catch_up, of the `limit` images after `after`.
  Result<CaughtUp> catch_up_after(ImageSeq after, std::size_t limit);
  Result<ImageSeq> low_water() const;
  /// Images with a label in the staged epoch.
  [[nodiscard]] std::uint64_t settled_images() const;

  Store& store_;
  std::vector<ActiveView> views_;
  Options options_;
  EventSink events_;
  EmbeddingListener* listener_;

  EpochState current_;
  /// A change in memory did not reach the store: read again before use.
  bool stale_ = true;
  /// Per input of the current model the position in views_; empty when the
  /// model reads a view that is not active (or there is no model).
  std::vector<std::size_t> input_of_model_;
  LabelTotals totals_;

  std::optional<EpochState> staging_;
  std::string staging_cause_;  ///< "publish" or "rollback"
  ImageSeq staging_cursor_;
  std::map<ClusterId, std::vector<ClusterId>> staging_ended_;
  std::map<ClusterId, std::vector<ClusterId>> staging_born_;
  FixedChanges flip_fixed_;  ///< during a flip
  std::optional<Moves> moves_;
};

}  // namespace shoal
