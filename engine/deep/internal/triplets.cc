#include "engine/deep/internal/triplets.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "engine/deep/internal/products.h"
#include "engine/score/distances.h"

namespace shoal {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

int draw(int count, std::mt19937_64& random) {
  return std::uniform_int_distribution<int>(0, count - 1)(random);
}

}  // namespace

TripletLoss triplet_loss(MatrixView z, const std::vector<Triplet>& triplets,
                         double gamma, double margin) {
  const Eigen::Index rows = z.rows();
  Matrix distances(rows, rows);
  const PointDistances to_rows(z, Vector::Zero(z.cols()));
  to_rows.measure(z, z.rowwise().squaredNorm(), distances);

  // The loss by each squared distance; the gradient by z follows from it as
  // 2 sum_j s_ij (z_i - z_j) with s symmetric.
  const auto count = static_cast<double>(triplets.size());
  const auto share = static_cast<float>(1 / count);
  const auto pull = static_cast<float>(gamma) * share;
  Matrix by_distance = Matrix::Zero(rows, rows);
  TripletLoss loss;
  for (const auto& [anchor, positive, negative] : triplets) {
    const double excess = gamma * distances(anchor, positive) -
                          distances(anchor, negative) + margin;
    if (excess <= 0) continue;
    loss.value += excess;
    by_distance(anchor, positive) += pull;
    by_distance(anchor, negative) -= share;
  }
  loss.value /= count;

  Matrix laplacian = -2.0F * (by_distance + by_distance.transpose());
  const Vector degree = laplacian.rowwise().sum();
  laplacian.diagonal() -= degree;
  loss.gradient.resize(rows, z.cols());
  multiply(laplacian, z, loss.gradient);
  return loss;
}

TripletSampler::TripletSampler(const std::vector<int>& labels, int batch)
    : labels_(labels),
      anchors_per_batch_(batch / 2),
      members_(labels.size()),
      place_(labels.size()) {
  const int clusters = *std::max_element(labels.begin(), labels.end()) + 1;
  first_.assign(at(clusters) + 1, 0);
  for (const int label : labels) ++first_[at(label) + 1];
  std::partial_sum(first_.begin(), first_.end(), first_.begin());
  std::vector<int> next(first_.begin(), first_.end() - 1);
  for (std::size_t row = 0; row < labels.size(); ++row) {
    place_[row] = next[at(labels[row])]++;
    members_[at(place_[row])] = static_cast<int>(row);
  }
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const std::size_t label = at(labels[row]);
    if (first_[label + 1] - first_[label] > 1) {
      anchors_.push_back(static_cast<int>(row));
    }
  }
}

void TripletSampler::shuffle(std::mt19937_64& random) {
  std::shuffle(anchors_.begin(), anchors_.end(), random);
}

int TripletSampler::batches() const {
  const int anchors = static_cast<int>(anchors_.size());
  return (anchors + anchors_per_batch_ - 1) / anchors_per_batch_;
}

std::vector<int> TripletSampler::batch(int number, std::mt19937_64& random) {
  const std::size_t start = at(number) * at(anchors_per_batch_);
  const std::size_t end =
      std::min(start + at(anchors_per_batch_), anchors_.size());
  std::vector<int> rows;
  rows.reserve(2 * (end - start));
  for (std::size_t i = start; i < end; ++i) {
    const int anchor = anchors_[i];
    const std::size_t label = at(labels_[at(anchor)]);
    const int first = first_[label];
    int place = first + draw(first_[label + 1] - first - 1, random);
    if (place >= place_[at(anchor)]) ++place;
    rows.push_back(anchor);
    rows.push_back(members_[at(place)]);
  }
  std::stable_sort(rows.begin(), rows.end(), [&](int a, int b) {
    return labels_[at(a)] < labels_[at(b)];
  });
  return rows;
}

std::vector<Triplet> TripletSampler::triplets(const std::vector<int>& rows,
                                              int negatives,
                                              std::mt19937_64& random) const {
  std::vector<Triplet> all;
  const int count = static_cast<int>(rows.size());
  for (int first = 0, last = 0; first < count; first = last) {
    const int label = labels_[at(rows[at(first)])];
    while (last < count && labels_[at(rows[at(last)])] == label) ++last;
    const int size = last - first;
    if (size == count) return {};
    for (int anchor = first; anchor < last; ++anchor) {
      for (int positive = anchor + 1; positive < last; ++positive) {
        for (int i = 0; i < negatives; ++i) {
          int negative = draw(count - size, random);
          if (negative >= first) negative += size;
          all.push_back({anchor, positive, negative});
        }
      }
    }
  }
  return all;
}

}  // namespace shoal
