#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/deep/multi_view.h"
#include "engine/transfer/transfer_clustering.h"

namespace shoal::eval {

/// One view's features in the form that the methods take: a net's have rows
/// of length 1, others are as they come. Value.
struct MethodView {
  std::string name;
  Matrix rows;  ///< (n, d)
};

/// How the transfer methods work (ALGORITHMS section 6).
struct TransferSettings {
  /// Whose features the head learns on; borrowed.
  const MethodView* net = nullptr;
  double initial_share = 0.2;  ///< Delta
  double share_step = 0.1;     ///< delta
  int max_iterations = 20;     ///< k_max
  RowDistance distance = RowDistance::kEuclidean;
};

/// "euclidean", "city-block", "chessboard".
[[nodiscard]] std::string_view to_string(RowDistance distance);

/// What methods have in common.
struct MethodOptions {
  int clusters = 0;
  TransferSettings transfer;
  JuleOptions jule;  ///< `clusters`, `seed` and callbacks are set by the runs
  EmbeddedOptions embedded;  ///< likewise; of dec, idec and dcn
  std::function<bool()> cancelled;
  std::function<void(std::string_view stage, double fraction)> progress;
};

/// What a method found.
struct MethodRun {
  std::vector<int> labels;  ///< (n)
  Matrix representation;    ///< (n, d') in which the labels were made
  bool learned = false;     ///< the representation was
  /// Transfer methods: labels of the boot stage, in the view's own rows.
  std::vector<int> boot_labels;
  struct Step {
    std::vector<int> labels;
    double confirmed = 0;  ///< share of the rows
  };
  std::vector<Step> steps;  ///< labels on the way, where there is a way
  /// Taken by this method alone: what it shares with an earlier one counts as
  /// if it had been done again.
  double seconds = 0;
};

enum class MethodScope { kOneView, kAllViews };

struct MethodInfo {
  std::string_view name;
  MethodScope scope = MethodScope::kOneView;
  std::string_view what;
};
/// Every method that shoal-eval knows: per view km, gmm, ac, jule, dec, idec,
/// dcn, tl-km, tl-gmm; over all views cc-*, mvec-*, dmvc-fix-*, dmvc.
[[nodiscard]] const std::vector<MethodInfo>& known_methods();

/// Errors: kNotFound, naming the known ones.
[[nodiscard]] Result<const MethodInfo*> find_method(std::string_view name);

/// Learns with a net that fine-tunes nothing but a new last layer.
[[nodiscard]] bool needs_transfer_net(std::string_view method);

/// Runs methods over the same views. Each view's own clustering, which
/// ensembles and multi-view nets start from, is done once a seed and is that
/// of the method's own row. Owner-thread.
class MethodRunner {
 public:
  /// @param views  the same images in each; must outlive the runner
  MethodRunner(const std::vector<MethodView>& views, MethodOptions options);

  /// @param view  position in the views; not used for MethodScope::kAllViews
  /// Errors: kNotFound for another method; kFailedPrecondition for a transfer
  /// method without a net; those of the methods; kCancelled.
  [[nodiscard]] Result<MethodRun> run(std::string_view method, std::size_t view,
                                      std::uint64_t seed);

  /// What beside views, clusters and seed decides a run of `method`, as text
  /// for people; empty for nothing.
  [[nodiscard]] std::string settings(std::string_view method) const;

 private:
  /// A run on rows, and the net that gives its representation.
  struct OwnRun {
    MethodRun run;
    Mlp net;
  };
  /// What is kept of a view's own clustering.
  struct Kept {
    PretrainedView view;  ///< without net and embeddings where none is learned
    double seconds = 0;
  };

  [[nodiscard]] Result<MethodRun> dispatch(std::string_view method,
                                           std::size_t view,
                                           std::uint64_t seed);
  [[nodiscard]] Result<OwnRun> run_on(std::string_view method,
                                      const Matrix& rows,
                                      std::uint64_t seed) const;
  [[nodiscard]] Result<OwnRun> run_jule(const Matrix& rows,
                                        std::uint64_t seed) const;
  [[nodiscard]] Result<OwnRun> run_embedded(EmbeddedMethod method,
                                            const Matrix& rows,
                                            std::uint64_t seed) const;
  [[nodiscard]] Result<MethodRun> run_on_view(std::string_view method,
                                              std::size_t view,
                                              std::uint64_t seed);
  [[nodiscard]] Result<MethodRun> run_transfer(BootMethod boot,
                                               const MethodView& view,
                                               std::uint64_t seed) const;
  [[nodiscard]] Result<MethodRun> run_ensemble(const std::string& base,
                                               std::uint64_t seed);
  [[nodiscard]] Result<MethodRun> run_multi_view(std::string_view method,
                                                 std::uint64_t seed);
  /// The own clustering of every view, in their order; made where not kept.
  [[nodiscard]] Result<std::vector<PretrainedView>> own_clusterings(
      const std::string& base, std::uint64_t seed);
  [[nodiscard]] std::vector<Matrix> rows_of_views() const;

  const std::vector<MethodView>& views_;
  const MethodOptions options_;
  std::uint64_t kept_seed_ = 0;
  std::map<std::pair<std::string, std::size_t>, Kept> kept_;
  double reused_seconds_ = 0;  ///< of kept work, in this run
};

}  // namespace shoal::eval
