#include "engine/transfer/internal/split.h"

#include <algorithm>
#include <random>
#include <string>

namespace shoal::internal {
namespace {

void add(LabelledRows& to, std::size_t row, int label) {
  to.rows.push_back(row);
  to.labels.push_back(label);
}

}  // namespace

Result<void> check_examples(const std::vector<std::size_t>& rows,
                            const std::vector<int>& labels, int classes,
                            std::size_t available) {
  if (rows.empty() || rows.size() != labels.size()) {
    return invalid_argument("transfer learner: " + std::to_string(rows.size()) +
                            " rows with " + std::to_string(labels.size()) +
                            " labels");
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] >= available || labels[i] < 0 || labels[i] >= classes) {
      return invalid_argument(
          "transfer learner: row " + std::to_string(rows[i]) + " of " +
          std::to_string(available) + " has label " +
          std::to_string(labels[i]) + " of " + std::to_string(classes));
    }
  }
  return ok();
}

Result<void> check_rows(const std::vector<std::size_t>& rows,
                        std::size_t available) {
  for (const std::size_t row : rows) {
    if (row >= available) {
      return invalid_argument("transfer learner: there is no row " +
                              std::to_string(row) + " of " +
                              std::to_string(available));
    }
  }
  return ok();
}

Split hold_out(const std::vector<std::size_t>& rows,
               const std::vector<int>& labels, int classes, double share,
               std::uint64_t seed) {
  std::vector<std::size_t> order(rows.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937_64 random(seed);
  // Not std::shuffle: its result differs between standard libraries.
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[random() % i]);
  }
  std::vector<std::size_t> wanted(static_cast<std::size_t>(classes), 0);
  for (const int label : labels) ++wanted[static_cast<std::size_t>(label)];
  for (std::size_t& count : wanted) {
    count = static_cast<std::size_t>(share * static_cast<double>(count));
  }
  std::vector<bool> held(rows.size(), false);
  for (const std::size_t at : order) {
    std::size_t& left = wanted[static_cast<std::size_t>(labels[at])];
    if (left == 0) continue;
    --left;
    held[at] = true;
  }
  Split split;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    add(held[i] ? split.held_out : split.learned, rows[i], labels[i]);
  }
  split.learned.weights = balanced_weights(split.learned.labels, classes);
  split.held_out.weights = balanced_weights(split.held_out.labels, classes);
  return split;
}

std::vector<int> most_probable(MatrixView probabilities) {
  std::vector<int> labels(static_cast<std::size_t>(probabilities.rows()));
  for (Eigen::Index i = 0; i < probabilities.rows(); ++i) {
    Eigen::Index best = 0;
    probabilities.row(i).maxCoeff(&best);
    labels[static_cast<std::size_t>(i)] = static_cast<int>(best);
  }
  return labels;
}

}  // namespace shoal::internal
