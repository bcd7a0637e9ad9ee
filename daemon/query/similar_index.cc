#include "daemon/query/similar_index.h"

#include <algorithm>
#include <cstring>
#include <faiss/IndexScalarQuantizer.h>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace shoal {

// Row i of the index belongs to seqs[i]; a row that was replaced or removed
// has no seq there. Faiss adds rows only at the end.
struct SimilarIndex::State {
  EpochId epoch;
  std::optional<faiss::IndexScalarQuantizer> index;
  std::vector<ImageSeq> seqs;
  std::unordered_map<ImageSeq, std::size_t> row_of;
  std::size_t dead = 0;
  std::size_t left_out = 0;

  /// Moves the living rows together.
  void compact() {
    const std::size_t width = index->code_size;
    std::size_t kept = 0;
    for (std::size_t row = 0; row < seqs.size(); ++row) {
      if (!seqs[row].valid()) continue;
      std::memmove(index->codes.data() + kept * width,
                   index->codes.data() + row * width, width);
      seqs[kept] = seqs[row];
      row_of[seqs[kept]] = kept;
      ++kept;
    }
    seqs.resize(kept);
    index->codes.resize(kept * width);
    index->ntotal = static_cast<faiss::Index::idx_t>(kept);
    dead = 0;
  }
};

SimilarIndex::SimilarIndex(std::size_t max_images)
    : max_images_(max_images), state_(std::make_unique<State>()) {}

SimilarIndex::~SimilarIndex() = default;

void SimilarIndex::on_epoch(EpochId epoch, int dim) {
  auto fresh = std::make_unique<State>();
  fresh->epoch = epoch;
  fresh->index.emplace(dim, faiss::ScalarQuantizer::QT_fp16,
                       faiss::METRIC_INNER_PRODUCT);
  fresh->index->is_trained = true;  // fp16 has nothing to learn
  const std::unique_lock lock(mutex_);
  state_ = std::move(fresh);
}

void SimilarIndex::on_embedding(EpochId epoch, ImageSeq seq,
                                const Eigen::Ref<const Vector>& embedding) {
  const float norm = embedding.norm();
  if (!(norm > 0)) return;  // the zero vector is similar to nothing
  const Vector unit = embedding / norm;
  const std::unique_lock lock(mutex_);
  State& state = *state_;
  // The loader may come with the epoch before.
  if (!state.index || state.epoch != epoch) return;
  if (state.row_of.count(seq) != 0) return;  // loaded twice, same values
  if (state.row_of.size() >= max_images_) {
    ++state.left_out;
    return;
  }
  state.index->add(1, unit.data());
  state.row_of[seq] = state.seqs.size();
  state.seqs.push_back(seq);
}

void SimilarIndex::on_removed(ImageSeq seq) {
  const std::unique_lock lock(mutex_);
  const auto it = state_->row_of.find(seq);
  if (it == state_->row_of.end()) return;
  state_->seqs[it->second] = ImageSeq{};
  state_->row_of.erase(it);
  ++state_->dead;
  // A search asks for that many more: keep it in proportion.
  if (state_->dead > 100 + state_->seqs.size() / 10) state_->compact();
}

Result<std::vector<Neighbour>> SimilarIndex::search(
    const Eigen::Ref<const Vector>& embedding, std::size_t k,
    ImageSeq except) const {
  const std::shared_lock lock(mutex_);
  const State& state = *state_;
  if (!state.index || state.index->d != embedding.size()) {
    return failed_precondition("the index is not of this epoch");
  }
  const float norm = embedding.norm();
  if (!(norm > 0)) return std::vector<Neighbour>{};
  const Vector unit = embedding / norm;
  // Removed rows and the image itself may take places in the answer.
  const auto wanted = static_cast<faiss::Index::idx_t>(
      std::min(k + state.dead + 1, state.seqs.size()));
  std::vector<Neighbour> found;
  if (wanted == 0) return found;
  std::vector<float> scores(static_cast<std::size_t>(wanted));
  std::vector<faiss::Index::idx_t> rows(static_cast<std::size_t>(wanted));
  state.index->search(1, unit.data(), wanted, scores.data(), rows.data());
  for (std::size_t i = 0; i < rows.size() && found.size() < k; ++i) {
    if (rows[i] < 0) break;
    const ImageSeq seq = state.seqs[static_cast<std::size_t>(rows[i])];
    if (!seq.valid() || seq == except) continue;
    found.push_back({seq, std::min(scores[i], 1.0F)});
  }
  return found;
}

std::size_t SimilarIndex::size() const {
  const std::shared_lock lock(mutex_);
  return state_->row_of.size();
}

std::size_t SimilarIndex::left_out() const {
  const std::shared_lock lock(mutex_);
  return state_->left_out;
}

}  // namespace shoal
