#include "engine/deep/embedded_clustering.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <numeric>
#include <random>
#include <string>
#include <utility>

#include "engine/cluster/kmeans.h"
#include "engine/deep/internal/autoencoder.h"
#include "engine/deep/internal/embedded_step.h"
#include "engine/deep/internal/soft_assignment.h"

namespace shoal {
namespace {

using internal::AdamStep;
using internal::AllowedClusters;
using internal::Autoencoder;
using internal::EmbeddedLoss;
using internal::EmbeddedState;

constexpr int kRestarts = 20;
constexpr int kMaxWidth = 1 << 20;
constexpr Eigen::Index kBlockRows = 1024;

/// Updates of the pretraining when the caller leaves its length to us: what
/// MNIST's 10,000 test images need until the codes stop getting better
/// (docs/benchmarks.md). It counts updates and not epochs, so that few rows
/// are seen more often.
constexpr long kPretrainUpdates = 4000;
/// Share of the input that pretraining zeroes, as in DEC.
constexpr double kNoise = 0.2;

Result<void> check_options(const EmbeddedOptions& options) {
  const auto bad_width = [](int width) {
    return width < 1 || width > kMaxWidth;
  };
  if (options.clusters < 1 || options.code < 0 || options.code > kMaxWidth ||
      std::any_of(options.hidden.begin(), options.hidden.end(), bad_width)) {
    return invalid_argument(
        "embedded clustering: clusters and the layers' widths must be from 1 "
        "to " +
        std::to_string(kMaxWidth));
  }
  if (options.batch < 1 || options.target_interval < 1 ||
      options.pretrain_epochs < 0 || options.max_updates < 0) {
    return invalid_argument(
        "embedded clustering: batch and target_interval must be at least 1, "
        "pretrain_epochs and max_updates at least 0");
  }
  if (!(options.learning_rate > 0) || !(options.weight >= 0) ||
      !(options.tolerance >= 0) || !std::isfinite(options.learning_rate) ||
      !std::isfinite(options.weight)) {
    return invalid_argument(
        "embedded clustering: learning_rate must be above 0, weight and "
        "tolerance at least 0, all finite");
  }
  return ok();
}

Result<void> check_data(MatrixView data, const ClusterConstraints& constraints,
                        int clusters) {
  const Eigen::Index n = data.rows();
  if (data.cols() < 1 || n < clusters) {
    return invalid_argument("embedded clustering: " + std::to_string(n) +
                            " rows of " + std::to_string(data.cols()) +
                            " values for " + std::to_string(clusters) +
                            " clusters");
  }
  for (Eigen::Index i = 0; i < n; ++i) {
    if (!data.row(i).allFinite()) {
      return invalid_argument("embedded clustering: row " + std::to_string(i) +
                              " holds a value that is not finite");
    }
  }
  SHOAL_TRY(
      check_constraints(constraints, static_cast<std::size_t>(n), clusters));
  const auto& groups = constraints.must_link;
  const Eigen::Index free =
      n - std::count_if(groups.begin(), groups.end(),
                        [](int group) { return group >= 0; });
  if (free < clusters - constraints.groups) {
    return invalid_argument("embedded clustering: " + std::to_string(free) +
                            " rows without a group for " +
                            std::to_string(clusters - constraints.groups) +
                            " clusters without one");
  }
  return ok();
}

/// Batches of rows in a new random order each epoch; an epoch's last batch
/// may be smaller. Owner-thread.
class Batches {
 public:
  Batches(Eigen::Index rows, int batch, std::mt19937_64& random)
      : order_(static_cast<std::size_t>(rows)),
        batch_(static_cast<std::size_t>(batch)),
        at_(order_.size()),
        random_(random) {
    std::iota(order_.begin(), order_.end(), 0);
  }
  /// Valid until the next call.
  const std::vector<int>& next() {
    if (at_ == order_.size()) {
      std::shuffle(order_.begin(), order_.end(), random_);
      at_ = 0;
    }
    const std::size_t end = std::min(order_.size(), at_ + batch_);
    rows_.assign(order_.begin() + static_cast<std::ptrdiff_t>(at_),
                 order_.begin() + static_cast<std::ptrdiff_t>(end));
    at_ = end;
    return rows_;
  }

 private:
  std::vector<int> order_;
  std::size_t batch_;
  std::size_t at_;
  std::vector<int> rows_;
  std::mt19937_64& random_;
};

Matrix gather(MatrixView data, const std::vector<int>& rows) {
  Matrix out(static_cast<Eigen::Index>(rows.size()), data.cols());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out.row(static_cast<Eigen::Index>(i)) = data.row(rows[i]);
  }
  return out;
}

/// 1 / root mean square of the values, so that the losses' weights and the
/// Student t distribution's width of 1 mean the same for all data (DEC section
/// 4.3). Values below 1e-30 count as 0.
float unit_scale(MatrixView data) {
  double sum = 0;
  for (Eigen::Index i = 0; i < data.rows(); ++i) {
    sum += data.row(i).cast<double>().squaredNorm();
  }
  const double rms = std::sqrt(sum / static_cast<double>(data.size()));
  return rms > 1e-30 ? static_cast<float>(1 / rms) : 1;
}

/// One call of embedded_clustering. Owner-thread.
class Run {
 public:
  Run(MatrixView data, const ClusterConstraints& constraints,
      const EmbeddedOptions& options)
      : data_(data),
        constraints_(constraints),
        options_(options),
        allowed_(constraints),
        scale_(unit_scale(data)),
        random_(options.seed) {
    step_.learning_rate = options.learning_rate;
    const long batches = (data.rows() + options.batch - 1) / options.batch;
    pretrain_updates_ = options.pretrain_epochs > 0
                            ? options.pretrain_epochs * batches
                            : kPretrainUpdates;
  }

  Result<EmbeddedResult> run() {
    SHOAL_TRY(net, pretrained_net());
    SHOAL_TRY(state, with_centroids(std::move(net)));
    SHOAL_TRY(updates, refine(state));
    EmbeddedResult result;
    result.updates = updates;
    result.labels = std::move(labels_);
    result.embeddings = std::move(codes_);
    result.centroids = state.centroids();
    result.encoder = state.net().encoder().mlp();
    result.encoder.layers.front().weight *= scale_;
    result.reconstruction = reconstruction_error(state.net());
    report("done", 1);
    return result;
  }

 private:
  Result<Autoencoder> pretrained_net() {
    std::vector<int> widths = {static_cast<int>(data_.cols())};
    widths.insert(widths.end(), options_.hidden.begin(), options_.hidden.end());
    widths.push_back(options_.code > 0 ? options_.code : options_.clusters);
    Autoencoder net(widths, random_);
    Batches batches(data_.rows(), options_.batch, random_);
    for (long update = 0; update < pretrain_updates_; ++update) {
      SHOAL_TRY(check_cancelled());
      const double error =
          net.pretrain(scaled(batches.next()), kNoise, random_, step_);
      SHOAL_TRY(check_loss(error, "pretraining"));
      report_update("pretraining", update);
    }
    net.reset_moments();
    return net;
  }

  Result<EmbeddedState> with_centroids(Autoencoder net) {
    report_update("centres", pretrain_updates_);
    SHOAL_TRY(encode(net));
    KMeansOptions kmeans_options;
    kmeans_options.clusters = options_.clusters;
    kmeans_options.restarts = kRestarts;
    kmeans_options.seed = random_();
    kmeans_options.fixed = constraints_.must_link;
    kmeans_options.forbidden = constraints_.forbidden;
    kmeans_options.cancelled = options_.cancelled;
    SHOAL_TRY(centres, kmeans(codes_, kmeans_options));
    labels_ = std::move(centres.labels);
    std::vector<double> counts(static_cast<std::size_t>(options_.clusters), 0);
    for (const int label : labels_) counts[static_cast<std::size_t>(label)]++;
    return EmbeddedState(std::move(net), std::move(centres.centroids),
                         std::move(counts));
  }

  /// @return the number of updates
  Result<int> refine(EmbeddedState& state) {
    Batches batches(data_.rows(), options_.batch, random_);
    std::vector<int> before = labels_;
    for (int update = 0;; ++update) {
      if (update % options_.target_interval == 0 ||
          update == options_.max_updates) {
        SHOAL_TRY(renew(state));
        if (options_.target_renewed) options_.target_renewed(codes_, labels_);
        if (update > 0 && changed(before) < options_.tolerance) return update;
        before = labels_;
      }
      if (update == options_.max_updates) return update;
      SHOAL_TRY(check_cancelled());
      const std::vector<int>& rows = batches.next();
      SHOAL_TRY(check_loss(take_step(state, rows), "clustering"));
      report_update("clustering", pretrain_updates_ + update);
    }
  }

  /// Codes, labels and target as the net and the centroids are now.
  Result<void> renew(EmbeddedState& state) {
    SHOAL_TRY(encode(state.net()));
    const Matrix q = internal::soft_assignment(codes_, state.centroids());
    labels_ = allowed_.labels(q);
    if (options_.method != EmbeddedMethod::kDcn) {
      target_ = internal::target_distribution(q, allowed_);
    }
    return ok();
  }

  double take_step(EmbeddedState& state, const std::vector<int>& rows) {
    const Matrix batch = scaled(rows);
    EmbeddedLoss loss;
    switch (options_.method) {
      case EmbeddedMethod::kDec:
        loss = state.step_dec(batch, gather(target_, rows), step_);
        break;
      case EmbeddedMethod::kIdec:
        loss = state.step_idec(batch, gather(target_, rows), options_.weight,
                               step_);
        break;
      case EmbeddedMethod::kDcn:
        loss = state.step_dcn(batch, rows, allowed_, labels_, options_.weight,
                              step_);
        break;
    }
    return loss.reconstruction + loss.clustering;
  }

  /// The rows as the net sees them.
  [[nodiscard]] Matrix scaled(const std::vector<int>& rows) const {
    return scale_ * gather(data_, rows);
  }

  Result<void> encode(Autoencoder& net) {
    codes_.resize(data_.rows(), net.encoder().layers.back().out());
    for (Eigen::Index start = 0; start < data_.rows(); start += kBlockRows) {
      const Eigen::Index count = std::min(kBlockRows, data_.rows() - start);
      const Matrix block = scale_ * data_.middleRows(start, count);
      codes_.middleRows(start, count) = net.begin(block);
    }
    return check_loss(codes_.squaredNorm(), "clustering");
  }

  /// Mean squared error per value, in the data's own scale.
  double reconstruction_error(Autoencoder& net) const {
    double sum = 0;
    for (Eigen::Index start = 0; start < data_.rows(); start += kBlockRows) {
      const Eigen::Index count = std::min(kBlockRows, data_.rows() - start);
      const Matrix block = scale_ * data_.middleRows(start, count);
      sum += net.reconstruction_error(block) * static_cast<double>(count);
    }
    return sum / static_cast<double>(data_.rows()) /
           (static_cast<double>(scale_) * static_cast<double>(scale_));
  }

  [[nodiscard]] double changed(const std::vector<int>& before) const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      count += before[i] != labels_[i] ? 1 : 0;
    }
    return static_cast<double>(count) / static_cast<double>(before.size());
  }

  [[nodiscard]] Result<void> check_cancelled() const {
    if (options_.cancelled && options_.cancelled()) {
      return Error{ErrorCode::kCancelled, "embedded clustering was cancelled"};
    }
    return ok();
  }

  void report_update(std::string_view stage, long done) const {
    const auto planned =
        static_cast<double>(pretrain_updates_ + options_.max_updates) + 1;
    report(stage, static_cast<double>(done) / planned);
  }
  void report(std::string_view stage, double fraction) const {
    if (options_.progress) options_.progress(stage, fraction);
  }

  static Result<void> check_loss(double loss, std::string_view stage) {
    if (std::isfinite(loss)) return ok();
    return internal_error("embedded clustering: the loss of " +
                          std::string(stage) +
                          " is no longer finite; lower the learning rate");
  }

  MatrixView data_;
  const ClusterConstraints& constraints_;
  const EmbeddedOptions& options_;
  AllowedClusters allowed_;
  float scale_;  // what the data are multiplied with
  std::mt19937_64 random_;
  AdamStep step_;
  long pretrain_updates_ = 0;
  Matrix codes_;
  Matrix target_;
  std::vector<int> labels_;
};

}  // namespace

Result<EmbeddedResult> embedded_clustering(
    MatrixView data, const ClusterConstraints& constraints,
    const EmbeddedOptions& options) {
  SHOAL_TRY(check_options(options));
  SHOAL_TRY(check_data(data, constraints, options.clusters));
  try {
    return Run(data, constraints, options).run();
  } catch (const std::bad_alloc&) {
    return resource_exhausted("embedded clustering: not enough memory for " +
                              std::to_string(data.rows()) +
                              " rows; use fewer or narrower layers");
  }
}

}  // namespace shoal
