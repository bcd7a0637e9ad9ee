#include "store/verify.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/sha256.h"
#include "store/internal/codec.h"
#include "store/internal/database.h"
#include "store/internal/keys.h"

namespace shoal {
namespace {

using internal::Database;
using internal::Family;
using internal::make_key;

std::string number(std::uint64_t value) { return std::to_string(value); }
template <typename Tag>
std::string number(NumericId<Tag> id) {
  return std::to_string(id.value());
}

/// Walks the families one after the other; each walk leaves what the later
/// ones compare with. Owner-thread.
class Verifier {
 public:
  explicit Verifier(const Database& database) : database_(database) {}

  Result<VerifyReport> run() {
    SHOAL_TRY(read_meta());
    SHOAL_TRY(walk_epochs());
    SHOAL_TRY(walk_images());
    SHOAL_TRY(walk_ids());
    SHOAL_TRY(walk_bytes());
    SHOAL_TRY(walk_of_images<1>(Family::kArrivals, "an arrival", &arrived_));
    SHOAL_TRY(walk_of_images<1>(Family::kPending, "a pending mark", &pending_));
    SHOAL_TRY(walk_history());
    SHOAL_TRY(walk_fixed());
    SHOAL_TRY(walk_views());
    SHOAL_TRY(walk_labels());
    SHOAL_TRY(walk_must_not());
    SHOAL_TRY(walk_members());
    SHOAL_TRY(walk_embeddings());
    SHOAL_TRY(walk_clusters());
    SHOAL_TRY(walk_models());
    SHOAL_TRY(walk_logs());
    check_images();
    check_members();
    check_embeddings();
    check_totals();
    return std::move(report_);
  }

 private:
  struct Count {
    std::uint64_t size = 0;
    std::uint64_t confirmed = 0;
  };
  using EpochCluster = std::pair<std::uint64_t, std::uint64_t>;
  static constexpr std::size_t kChunk = 256;

  void violation(std::string sentence) {
    ++report_.violation_count;
    if (report_.violations.size() < VerifyReport::kMaxListed) {
      report_.violations.push_back(std::move(sentence));
    }
  }

  /// The value, or nothing and a violation.
  template <typename T>
  std::optional<T> take(Result<T> decoded, const std::string& what) {
    if (decoded.has_value()) return std::move(decoded).value();
    violation(what + ": " + decoded.error().message);
    return std::nullopt;
  }

  /// Visits every entry whose key is N numbers; damage ends the walk of this
  /// family and is a violation.
  template <std::size_t N, typename Visit>
  Result<void> walk(Database::Handle* family, const Visit& visit) {
    const auto walked = database_.scan(
        family, "", "", Database::Direction::kForward,
        [&](std::string_view key, std::string_view value) -> Result<bool> {
          const auto numbers = take(internal::split_key<N>(key),
                                    "column family " + family->GetName());
          if (numbers.has_value()) visit(*numbers, value);
          return true;
        });
    return forgive_damage(walked, family);
  }
  template <std::size_t N, typename Visit>
  Result<void> walk(Family family, const Visit& visit) {
    return walk<N>(database_.family(family), visit);
  }

  Result<void> forgive_damage(const Result<void>& read,
                              Database::Handle* family) {
    if (!read.has_value() && read.error().code == ErrorCode::kCorruption) {
      violation("column family " + family->GetName() +
                " is damaged: " + read.error().message);
      return ok();
    }
    return read;
  }

  [[nodiscard]] std::optional<std::size_t> position(std::uint64_t seq) const {
    const auto at = std::lower_bound(seqs_.begin(), seqs_.end(), seq);
    if (at == seqs_.end() || *at != seq) return std::nullopt;
    return static_cast<std::size_t>(at - seqs_.begin());
  }

  /// As position(), and a violation when there is no such image.
  std::optional<std::size_t> position_of(const std::string& what,
                                         std::uint64_t seq) {
    const auto found = position(seq);
    if (!found.has_value()) {
      violation(what + " is left of image " + number(seq) +
                ", which does not exist");
    }
    return found;
  }

  bool check_epoch(const std::string& what, std::uint64_t epoch) {
    if (epoch == 0) return true;
    const auto found = epochs_.find(epoch);
    const bool has_data = found != epochs_.end() &&
                          (found->second.status == EpochStatus::kStaging ||
                           found->second.status == EpochStatus::kPublished ||
                           found->second.status == EpochStatus::kHeld);
    if (!has_data) {
      violation(what + " is left of epoch " + number(epoch) +
                ", which should have no data");
    }
    return has_data;
  }

  template <typename T>
  Result<std::optional<T>> read_meta_value(
      std::string_view key, Result<T> (*decode)(std::string_view)) {
    SHOAL_TRY(bytes, database_.get(database_.family(Family::kMeta), key));
    if (!bytes.has_value()) return std::optional<T>();
    return take(decode(*bytes), "meta key " + std::string(key));
  }

  Result<void> read_meta() {
    SHOAL_TRY(current, read_meta_value(internal::kCurrentEpochKey,
                                       internal::decode_number));
    current_ = current.value_or(0);
    SHOAL_TRY(ingest, read_meta_value(internal::kIngestTotalsKey,
                                      internal::decode_ingest_totals));
    ingest_ = ingest.value_or(IngestTotals());
    SHOAL_TRY(labels, read_meta_value(internal::kLabelTotalsKey,
                                      internal::decode_label_totals));
    label_totals_ = labels.value_or(LabelTotals());
    return ok();
  }

  Result<void> walk_epochs() {
    SHOAL_TRY(walk<1>(Family::kEpochs, [&](const auto& key, auto value) {
      auto record = take(internal::decode_epoch(EpochId(key[0]), value),
                         "epoch " + number(key[0]));
      if (record.has_value()) epochs_[key[0]] = *std::move(record);
    }));
    report_.epochs = epochs_.size();
    if (current_ == 0) return ok();
    const auto found = epochs_.find(current_);
    if (found == epochs_.end() ||
        found->second.status != EpochStatus::kPublished) {
      violation("the current epoch " + number(current_) +
                " is not a published one");
    }
    return ok();
  }

  Result<void> walk_images() {
    SHOAL_TRY(walk<1>(Family::kImages, [&](const auto& key, auto value) {
      seqs_.push_back(key[0]);
      take(internal::decode_image(ImageSeq(key[0]), value),
           "image " + number(key[0]));
    }));
    report_.images = seqs_.size();
    for (auto* flags : {&named_, &has_bytes_, &arrived_, &pending_, &labelled_,
                        &confirmed_}) {
      flags->assign(seqs_.size(), false);
    }
    fixed_.assign(seqs_.size(), 0);
    clusters_.assign(seqs_.size(), 0);
    return ok();
  }

  /// Reads the records of `seqs` and calls visit(i, record) for those there.
  Result<void> with_records(
      const std::vector<std::uint64_t>& seqs,
      const std::function<void(std::size_t, const ImageRecord&)>& visit) {
    const auto read = database_.multi_get(
        database_.family(Family::kImages), seqs.size(),
        [&](std::size_t i) { return make_key(seqs[i]); },
        [&](std::size_t i, std::string_view value) -> Result<void> {
          const auto record = internal::decode_image(ImageSeq(seqs[i]), value);
          // One that does not decode was told by walk_images.
          if (record.has_value()) visit(i, record.value());
          return ok();
        });
    return forgive_damage(read, database_.family(Family::kImages));
  }

  Result<void> walk_ids() {
    std::vector<std::string> ids;
    std::vector<std::uint64_t> seqs;
    const auto check = [&]() -> Result<void> {
      SHOAL_TRY(
          with_records(seqs, [&](std::size_t i, const ImageRecord& record) {
            if (record.id.str() == ids[i]) {
              named_[*position(seqs[i])] = true;
            } else {
              violation("id " + ids[i] + " names image " + number(seqs[i]) +
                        ", whose id is " + record.id.str());
            }
          }));
      ids.clear();
      seqs.clear();
      return ok();
    };
    Database::Handle* const family = database_.family(Family::kIds);
    const auto walked = database_.scan(
        family, "", "", Database::Direction::kForward,
        [&](std::string_view key, std::string_view value) -> Result<bool> {
          const auto seq =
              take(internal::decode_number(value), "id " + std::string(key));
          if (!seq.has_value()) return true;
          if (!position_of("id " + std::string(key), *seq)) return true;
          ids.emplace_back(key);
          seqs.push_back(*seq);
          if (seqs.size() == kChunk) {
            SHOAL_TRY(check());
          }
          return true;
        });
    SHOAL_TRY(forgive_damage(walked, family));
    return check();
  }

  Result<void> walk_bytes() {
    struct Found {
      Sha256Digest digest;
      std::uint64_t size;
    };
    std::vector<Found> found;
    std::vector<std::uint64_t> seqs;
    const auto check = [&]() -> Result<void> {
      SHOAL_TRY(
          with_records(seqs, [&](std::size_t i, const ImageRecord& record) {
            if (record.digest != found[i].digest ||
                record.size_bytes != found[i].size) {
              violation("image " + number(seqs[i]) +
                        " has other bytes than its record says");
            }
          }));
      found.clear();
      seqs.clear();
      return ok();
    };
    Database::Handle* const family = database_.family(Family::kBytes);
    const auto walked = database_.scan(
        family, "", "", Database::Direction::kForward,
        [&](std::string_view key, std::string_view value) -> Result<bool> {
          const auto numbers =
              take(internal::split_key<1>(key), "column family bytes");
          if (!numbers.has_value()) return true;
          const std::uint64_t seq = (*numbers)[0];
          const auto at = position_of("a byte string", seq);
          if (!at.has_value()) return true;
          has_bytes_[*at] = true;
          report_.image_bytes += value.size();
          found.push_back({sha256(value), value.size()});
          seqs.push_back(seq);
          if (seqs.size() == kChunk) {
            SHOAL_TRY(check());
          }
          return true;
        });
    SHOAL_TRY(forgive_damage(walked, family));
    return check();
  }

  /// Checks that the first number of every key is an image; notes it in
  /// `present` when given.
  template <std::size_t N>
  Result<void> walk_of_images(Family family, const std::string& what,
                              std::vector<bool>* present) {
    return walk<N>(family, [&](const auto& key, auto) {
      const auto at = position_of(what, key[0]);
      if (at.has_value() && present != nullptr) (*present)[*at] = true;
    });
  }

  Result<void> walk_history() {
    return walk<2>(Family::kHistory, [&](const auto& key, auto value) {
      position_of("history", key[0]);
      take(internal::decode_history(value),
           "history of image " + number(key[0]));
    });
  }

  Result<void> walk_fixed() {
    return walk<1>(Family::kFixed, [&](const auto& key, auto value) {
      const auto at = position_of("a fixed label", key[0]);
      const auto fixed = take(internal::decode_fixed(value),
                              "fixed label of image " + number(key[0]));
      if (!at.has_value() || !fixed.has_value()) return;
      if (!fixed->cluster.valid()) {
        violation("image " + number(key[0]) + " is fixed to no cluster");
      }
      fixed_[*at] = fixed->cluster.value();
    });
  }

  Result<void> walk_views() {
    for (const auto& view : database_.views()) {
      const std::string name = "view " + view.key.text();
      SHOAL_TRY(walk<1>(view.handle, [&](const auto& key, auto value) {
        ++report_.features;
        position_of("a vector of " + name, key[0]);
        check_vector(name + ", image " + number(key[0]), value, view.key.dim);
      }));
    }
    return ok();
  }

  void check_vector(const std::string& what, std::string_view bytes,
                    std::uint32_t dim) {
    Eigen::RowVectorXf row(static_cast<Eigen::Index>(dim));
    const auto decoded = internal::decode_halves(bytes, row);
    if (!decoded.has_value()) {
      violation(what + ": " + decoded.error().message);
    } else if (!row.allFinite()) {
      violation(what + ": a value is not finite");
    }
  }

  Result<void> walk_labels() {
    return walk<2>(Family::kLabels, [&](const auto& key, auto value) {
      ++report_.labels;
      const auto [epoch, seq] = key;
      const std::string what =
          "label of image " + number(seq) + " in epoch " + number(epoch);
      ++label_counts_[epoch];
      const auto label = take(internal::decode_label(value), what);
      const auto at = position_of("a label", seq);
      check_epoch(what, epoch);
      if (!label.has_value() || !at.has_value()) return;
      if ((label->state == LabelState::kUnassigned) == label->cluster.valid()) {
        violation(what + ": its state does not fit its cluster " +
                  number(label->cluster));
      }
      note_cluster(label->cluster);
      if (label->state == LabelState::kAssigned) ++assigned_counts_[epoch];
      if (epoch != current_) return;
      labelled_[*at] = true;
      clusters_[*at] = label->cluster.value();
      if (label->state != LabelState::kConfirmed) return;
      confirmed_[*at] = true;
      if (fixed_[*at] != label->cluster.value()) {
        violation(what + ": confirmed in cluster " + number(label->cluster) +
                  " but fixed to " + number(fixed_[*at]));
      }
    });
  }

  Result<void> walk_must_not() {
    return walk<2>(Family::kMustNot, [&](const auto& key, auto) {
      const auto at = position_of("a rejection", key[0]);
      if (!at.has_value()) return;
      if (key[1] == 0) {
        violation("image " + number(key[0]) + " is ruled out of no cluster");
      } else if (clusters_[*at] == key[1]) {
        violation("image " + number(key[0]) + " is in cluster " +
                  number(key[1]) + " of epoch " + number(current_) +
                  ", which is ruled out for it");
      }
    });
  }

  Result<void> walk_members() {
    std::vector<std::array<std::uint64_t, 3>> keys;
    std::vector<Member> members;
    const auto check = [&]() -> Result<void> {
      std::vector<bool> has_label(keys.size(), false);
      SHOAL_TRY(database_.multi_get(
          database_.family(Family::kLabels), keys.size(),
          [&](std::size_t i) { return make_key(keys[i][0], keys[i][2]); },
          [&](std::size_t i, std::string_view value) -> Result<void> {
            const auto label = internal::decode_label(value);
            has_label[i] = label.has_value() &&
                           label.value().cluster.value() == keys[i][1] &&
                           label.value().state == members[i].state &&
                           label.value().confidence == members[i].confidence;
            return ok();
          }));
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (has_label[i]) continue;
        violation("image " + number(keys[i][2]) + " is listed in cluster " +
                  number(keys[i][1]) + " of epoch " + number(keys[i][0]) +
                  " but has no such label");
      }
      keys.clear();
      members.clear();
      return ok();
    };
    Database::Handle* const family = database_.family(Family::kMembers);
    const auto walked = database_.scan(
        family, "", "", Database::Direction::kForward,
        [&](std::string_view key, std::string_view value) -> Result<bool> {
          const auto numbers =
              take(internal::split_key<3>(key), "column family members");
          if (!numbers.has_value()) return true;
          const auto [epoch, cluster, seq] = *numbers;
          const auto member =
              take(internal::decode_member(ImageSeq(seq), value),
                   "member " + number(seq) + " of cluster " + number(cluster));
          check_epoch("a member of cluster " + number(cluster), epoch);
          position_of("a member", seq);
          if (!member.has_value()) return true;
          Count& count = counts_[{epoch, cluster}];
          ++count.size;
          if (member->state == LabelState::kConfirmed) ++count.confirmed;
          keys.push_back(*numbers);
          members.push_back(*member);
          if (keys.size() == kChunk) {
            SHOAL_TRY(check());
          }
          return true;
        });
    SHOAL_TRY(forgive_damage(walked, family));
    return forgive_damage(check(), database_.family(Family::kLabels));
  }

  Result<void> walk_embeddings() {
    std::vector<std::array<std::uint64_t, 2>> keys;
    const auto check = [&]() -> Result<void> {
      std::vector<bool> has_label(keys.size(), false);
      SHOAL_TRY(database_.multi_get(
          database_.family(Family::kLabels), keys.size(),
          [&](std::size_t i) { return make_key(keys[i][0], keys[i][1]); },
          [&](std::size_t i, std::string_view value) -> Result<void> {
            has_label[i] = true;
            const auto label = internal::decode_label(value);
            if (label.has_value() &&
                label.value().state == LabelState::kAssigned) {
              ++embedded_counts_[keys[i][0]];
            }
            return ok();
          }));
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (has_label[i]) continue;
        violation("image " + number(keys[i][1]) +
                  " has an embedding but no label in epoch " +
                  number(keys[i][0]));
      }
      keys.clear();
      return ok();
    };
    Database::Handle* const family = database_.family(Family::kEmbeddings);
    const auto walked = database_.scan(
        family, "", "", Database::Direction::kForward,
        [&](std::string_view key, std::string_view value) -> Result<bool> {
          const auto numbers =
              take(internal::split_key<2>(key), "column family embeddings");
          if (!numbers.has_value()) return true;
          const auto [epoch, seq] = *numbers;
          const std::string what = "embedding of image " + number(seq) +
                                   " in epoch " + number(epoch);
          position_of("an embedding", seq);
          if (!check_epoch(what, epoch)) return true;
          const auto record = epochs_.find(epoch);
          check_vector(
              what, value,
              record == epochs_.end() ? 0 : record->second.embedding_dim);
          keys.push_back(*numbers);
          if (keys.size() == kChunk) {
            SHOAL_TRY(check());
          }
          return true;
        });
    SHOAL_TRY(forgive_damage(walked, family));
    return forgive_damage(check(), database_.family(Family::kLabels));
  }

  Result<void> walk_clusters() {
    return walk<2>(Family::kClusters, [&](const auto& key, auto value) {
      const auto [epoch, cluster] = key;
      const std::string what =
          "cluster " + number(cluster) + " of epoch " + number(epoch);
      const auto record =
          take(internal::decode_cluster(ClusterId(cluster), value), what);
      if (!check_epoch(what, epoch) || !record.has_value()) return;
      note_cluster(record->id);
      listed_.push_back({epoch, cluster});
      const auto found = epochs_.find(epoch);
      const bool known = found != epochs_.end();
      // A staging epoch is still being written.
      if (known && found->second.status == EpochStatus::kStaging) return;
      const Count count = counts_[{epoch, cluster}];
      if (record->size != count.size || record->confirmed != count.confirmed) {
        violation(what + " says " + number(record->size) + " images, " +
                  number(record->confirmed) + " confirmed, but has " +
                  number(count.size) + " and " + number(count.confirmed));
      }
      for (const Prototype& prototype : record->prototypes) {
        if (!known ||
            prototype.centroid.size() !=
                static_cast<Eigen::Index>(found->second.embedding_dim)) {
          violation(what + ": a centroid is not of the epoch's dimension");
        }
      }
    });
  }

  Result<void> walk_models() {
    std::set<std::uint64_t> found;
    SHOAL_TRY(walk<1>(Family::kModels, [&](const auto& key, auto) {
      if (check_epoch("a model", key[0])) found.insert(key[0]);
    }));
    for (const auto& [epoch, record] : epochs_) {
      if ((record.status == EpochStatus::kPublished ||
           record.status == EpochStatus::kHeld) &&
          found.count(epoch) == 0) {
        violation("epoch " + number(epoch) + " has no model");
      }
    }
    return ok();
  }

  /// What is kept beyond images and epochs: it has to decode, and the totals
  /// have to be as high as the ids in it.
  Result<void> walk_logs() {
    SHOAL_TRY(walk<1>(Family::kLineage, [&](const auto& key, auto value) {
      const auto record = take(internal::decode_lineage(key[0], value),
                               "lineage record " + number(key[0]));
      if (record.has_value()) note_cluster(record->cluster);
    }));
    SHOAL_TRY(walk<1>(Family::kCorrections, [&](const auto& key, auto value) {
      take(internal::decode_correction(CorrectionSeq(key[0]), value),
           "correction " + number(key[0]));
      last_correction_ = key[0];
    }));
    SHOAL_TRY(walk<1>(Family::kNames, [&](const auto& key, auto) {
      note_cluster(ClusterId(key[0]));
    }));
    std::uint64_t rejected = 0;
    SHOAL_TRY(walk<1>(Family::kRejected, [&](const auto& key, auto value) {
      ++rejected;
      take(internal::decode_rejected(key[0], value),
           "rejected record " + number(key[0]));
    }));
    if (rejected > Store::kRejectedKept) {
      violation(number(rejected) + " rejected records are kept, not " +
                number(Store::kRejectedKept));
    }
    return ok();
  }

  void note_cluster(ClusterId id) {
    last_cluster_ = std::max(last_cluster_, id.value());
  }

  void check_images() {
    for (std::size_t i = 0; i < seqs_.size(); ++i) {
      const std::string what = "image " + number(seqs_[i]);
      if (!named_[i]) violation(what + " cannot be found by its id");
      if (!has_bytes_[i]) violation(what + " has no bytes");
      if (!arrived_[i]) violation(what + " is not among the arrivals");
      if (pending_[i] && labelled_[i]) {
        violation(what + " is pending but has a label in epoch " +
                  number(current_));
      }
      if (!pending_[i] && !labelled_[i]) {
        violation(what + " is not pending but has no label in epoch " +
                  number(current_));
      }
      if (fixed_[i] != 0 && !confirmed_[i]) {
        violation(what + " is fixed to cluster " + number(fixed_[i]) +
                  " but not confirmed in epoch " + number(current_));
      }
    }
  }

  void check_members() {
    std::map<std::uint64_t, std::uint64_t> member_counts;
    for (const auto& [key, count] : counts_) {
      member_counts[key.first] += count.size;
      const auto found = epochs_.find(key.first);
      const bool staging = found != epochs_.end() &&
                           found->second.status == EpochStatus::kStaging;
      const bool pool = key.second == 0;
      if (count.size > 0 && !pool && !staging &&
          !std::binary_search(listed_.begin(), listed_.end(), key)) {
        violation("cluster " + number(key.second) + " of epoch " +
                  number(key.first) + " has members but no record");
      }
    }
    for (const auto& [epoch, labels] : label_counts_) {
      if (member_counts[epoch] != labels) {
        violation("epoch " + number(epoch) + " has " + number(labels) +
                  " labels but lists " + number(member_counts[epoch]) +
                  " members");
      }
    }
  }

  /// A label that the nearest centroid gave comes from an embedding.
  void check_embeddings() {
    for (const auto& [epoch, assigned] : assigned_counts_) {
      const std::uint64_t embedded = embedded_counts_[epoch];
      if (embedded != assigned) {
        violation("epoch " + number(epoch) + " has " + number(assigned) +
                  " assigned images, but embeddings of " + number(embedded) +
                  " of them");
      }
    }
  }

  void check_totals() {
    report_.pending = static_cast<std::uint64_t>(
        std::count(pending_.begin(), pending_.end(), true));
    const std::uint64_t deleted = label_totals_.deleted;
    if (ingest_.stored != report_.images + deleted) {
      violation("the totals say " + number(ingest_.stored) + " stored and " +
                number(deleted) + " deleted, but " + number(report_.images) +
                " images exist");
    }
    const std::uint64_t left_pending =
        label_totals_.completed + label_totals_.deleted_pending;
    if (ingest_.stored != report_.pending + left_pending) {
      violation("the totals say " + number(ingest_.stored) + " stored, " +
                number(label_totals_.completed) + " completed and " +
                number(label_totals_.deleted_pending) +
                " deleted while pending, but " + number(report_.pending) +
                " are pending");
    }
    const auto check_last = [&](const char* what, std::uint64_t total,
                                std::uint64_t highest) {
      if (total >= highest) return;
      violation(std::string("the totals say that the last ") + what + " is " +
                number(total) + ", but there is a " + number(highest));
    };
    check_last("image", ingest_.last_seq.value(),
               seqs_.empty() ? 0 : seqs_.back());
    check_last("cluster", label_totals_.last_cluster.value(), last_cluster_);
    check_last("epoch", label_totals_.last_epoch.value(),
               epochs_.empty() ? 0 : epochs_.rbegin()->first);
    check_last("correction", label_totals_.last_correction.value(),
               last_correction_);
  }

  const Database& database_;
  VerifyReport report_;
  std::uint64_t current_ = 0;
  IngestTotals ingest_;
  LabelTotals label_totals_;
  std::map<std::uint64_t, EpochRecord> epochs_;
  std::vector<std::uint64_t> seqs_;  ///< of all images, ascending
  // Per image, in the order of seqs_.
  std::vector<bool> named_;
  std::vector<bool> has_bytes_;
  std::vector<bool> arrived_;
  std::vector<bool> pending_;
  std::vector<bool> labelled_;           ///< in the current epoch
  std::vector<bool> confirmed_;          ///< in the current epoch
  std::vector<std::uint64_t> fixed_;     ///< cluster, 0 when not fixed
  std::vector<std::uint64_t> clusters_;  ///< in the current epoch
  std::map<std::uint64_t, std::uint64_t> label_counts_;     ///< by epoch
  std::map<std::uint64_t, std::uint64_t> assigned_counts_;  ///< by epoch
  std::map<std::uint64_t, std::uint64_t> embedded_counts_;  ///< of those
  std::map<EpochCluster, Count> counts_;                    ///< of members
  std::vector<EpochCluster> listed_;  ///< cluster records, ascending
  std::uint64_t last_cluster_ = 0;
  std::uint64_t last_correction_ = 0;
};

}  // namespace

Result<VerifyReport> verify_store(const std::filesystem::path& folder) {
  StoreOptions options;
  options.folder = folder;
  options.read_only = true;
  SHOAL_TRY(database, Database::open(options));
  return Verifier(*database).run();
}

}  // namespace shoal
