#include "engine/refine/candidate_file.h"

#include <cmath>
#include <set>

#include "common/bytes.h"
#include "common/check.h"
#include "common/file.h"
#include "common/sha256.h"

namespace shoal {
namespace {

constexpr std::string_view kMagic = "SHOALRUN";
constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 36;

std::string_view digest_bytes(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

void append_floats(ByteWriter& out, const float* values, std::size_t count) {
  out.raw({reinterpret_cast<const char*>(values), count * sizeof(float)});
}

/// True when all values were there.
bool take_floats(ByteReader& in, float* values, std::size_t count) {
  const std::string_view from = in.raw(count * sizeof(float));
  if (in.failed()) return false;
  if (count > 0) std::memcpy(values, from.data(), from.size());
  return true;
}

/// A count of things of which each takes at least `item_bytes` of what is
/// left; fails the reader when they cannot all be there, so that nothing is
/// allocated for them.
std::size_t take_count(ByteReader& in, std::size_t item_bytes) {
  const auto count = in.number<std::uint64_t>();
  if (count > in.remaining() / item_bytes) {
    in.raw(in.remaining() + 1);
    return 0;
  }
  return static_cast<std::size_t>(count);
}

bool is_distance(float value) { return std::isfinite(value) && value >= 0; }

void write_cluster(ByteWriter& out, const CandidateCluster& cluster) {
  out.number(cluster.id.value());
  out.number(static_cast<std::uint64_t>(cluster.prototypes.size()));
  for (const Prototype& prototype : cluster.prototypes) {
    out.number(prototype.novelty_threshold);
    append_floats(out, prototype.centroid.data(),
                  static_cast<std::size_t>(prototype.centroid.size()));
  }
  out.number(static_cast<std::uint64_t>(cluster.parents.size()));
  for (const ClusterId parent : cluster.parents) out.number(parent.value());
}

Result<CandidateCluster> read_cluster(ByteReader& in, int dim) {
  CandidateCluster cluster;
  cluster.id = ClusterId(in.number<std::uint64_t>());
  const std::size_t floats = static_cast<std::size_t>(dim);
  const std::size_t prototypes = take_count(in, (floats + 1) * sizeof(float));
  for (std::size_t i = 0; i < prototypes; ++i) {
    Prototype prototype;
    prototype.novelty_threshold = in.number<float>();
    prototype.centroid.resize(dim);
    if (!take_floats(in, prototype.centroid.data(), floats)) break;
    // Infinity stands for no limit.
    if (!prototype.centroid.allFinite() ||
        !(prototype.novelty_threshold >= 0)) {
      return corruption("candidate with a prototype that is no number");
    }
    cluster.prototypes.push_back(std::move(prototype));
  }
  const std::size_t parents = take_count(in, sizeof(std::uint64_t));
  for (std::size_t i = 0; i < parents; ++i) {
    cluster.parents.emplace_back(in.number<std::uint64_t>());
  }
  return cluster;
}

Result<void> read_ended(ByteReader& in, Candidate& candidate) {
  const std::size_t ended = take_count(in, 2 * sizeof(std::uint64_t));
  for (std::size_t i = 0; i < ended; ++i) {
    const ClusterId id(in.number<std::uint64_t>());
    std::vector<std::size_t>& heirs = candidate.ended[id];
    const std::size_t count = take_count(in, sizeof(std::uint64_t));
    for (std::size_t h = 0; h < count; ++h) {
      const auto heir = in.number<std::uint64_t>();
      if (heir >= candidate.clusters.size()) {
        return corruption("candidate with an heir that is no cluster");
      }
      heirs.push_back(static_cast<std::size_t>(heir));
    }
  }
  return ok();
}

Result<void> read_rows(ByteReader& in, LoadedCandidate& loaded) {
  Candidate& candidate = loaded.candidate;
  const auto dim = static_cast<std::size_t>(candidate.model->dim());
  const std::size_t row_bytes = sizeof(std::uint64_t) + sizeof(std::int32_t) +
                                sizeof(std::uint8_t) +
                                (2 + dim) * sizeof(float);
  const std::size_t n = take_count(in, row_bytes);
  if (in.failed()) return corruption("candidate ends too early");
  candidate.embeddings.resize(static_cast<Eigen::Index>(n),
                              static_cast<Eigen::Index>(dim));
  take_floats(in, candidate.embeddings.data(), n * dim);
  for (std::size_t i = 0; i < n; ++i) {
    loaded.seqs.emplace_back(in.number<std::uint64_t>());
    const auto label = in.number<std::int32_t>();
    const auto confidence = in.number<float>();
    const auto distance = in.number<float>();
    const auto confirmed = in.number<std::uint8_t>();
    if (confirmed > 1 || (confirmed == 1 && label < 0)) {
      return corruption("candidate that confirms an image without a cluster");
    }
    if (label < -1 ||
        label >= static_cast<std::int64_t>(candidate.clusters.size())) {
      return corruption("candidate with label " + std::to_string(label) +
                        " of " + std::to_string(candidate.clusters.size()));
    }
    if (!(confidence >= 0 && confidence <= 1) || !is_distance(distance)) {
      return corruption("candidate with a confidence or distance out of range");
    }
    candidate.labels.push_back(label);
    candidate.confidences.push_back(confidence);
    candidate.distances.push_back(distance);
    candidate.confirmed.push_back(confirmed);
  }
  if (!candidate.embeddings.allFinite()) {
    return corruption("candidate with an embedding that is not finite");
  }
  return ok();
}

Result<LoadedCandidate> parse(std::string_view bytes) {
  constexpr std::size_t kDigestBytes = std::tuple_size_v<Sha256Digest>;
  if (bytes.size() < kMagic.size() + kDigestBytes ||
      bytes.substr(0, kMagic.size()) != kMagic) {
    return corruption("not a candidate file");
  }
  const std::string_view content = bytes.substr(0, bytes.size() - kDigestBytes);
  if (digest_bytes(sha256(content)) != bytes.substr(content.size())) {
    return corruption("candidate's checksum is wrong");
  }
  ByteReader in(content.substr(kMagic.size()));
  const auto version = in.number<std::uint32_t>();
  if (!in.failed() && version != kVersion) {
    return corruption("candidate of version " + std::to_string(version) +
                      " instead of " + std::to_string(kVersion));
  }
  LoadedCandidate loaded;
  Candidate& candidate = loaded.candidate;
  candidate.method = in.string();
  candidate.note = in.string();
  SHOAL_TRY(model, load_embedding_model(in.string()));
  candidate.model = std::move(model);
  candidate.churn = in.number<double>();
  if (!(candidate.churn >= 0 && candidate.churn <= 1)) {
    return corruption("candidate with a churn out of range");
  }
  const std::size_t scores =
      take_count(in, sizeof(std::uint32_t) + sizeof(double));
  for (std::size_t i = 0; i < scores; ++i) {
    const std::string name = in.string();
    const auto value = in.number<double>();
    if (!std::isfinite(value)) {
      return corruption("candidate with a score that is not finite");
    }
    candidate.scores[name] = value;
  }
  const std::size_t concerns = take_count(in, sizeof(std::uint32_t));
  for (std::size_t i = 0; i < concerns; ++i) {
    candidate.concerns.push_back(in.string());
  }
  const std::size_t clusters = take_count(in, 3 * sizeof(std::uint64_t));
  std::set<ClusterId> ids;
  for (std::size_t i = 0; i < clusters; ++i) {
    SHOAL_TRY(cluster, read_cluster(in, candidate.model->dim()));
    if (cluster.id.valid() && !ids.insert(cluster.id).second) {
      return corruption("candidate with two clusters of one id");
    }
    candidate.clusters.push_back(std::move(cluster));
  }
  SHOAL_TRY(read_ended(in, candidate));
  SHOAL_TRY(read_rows(in, loaded));
  SHOAL_TRY(in.finish("candidate"));
  return loaded;
}

}  // namespace

Result<void> write_candidate(const std::filesystem::path& file,
                             const Candidate& candidate,
                             const std::vector<ImageSeq>& seqs) {
  const std::size_t n = seqs.size();
  SHOAL_CHECK(candidate.model != nullptr && candidate.labels.size() == n &&
                  candidate.confidences.size() == n &&
                  candidate.distances.size() == n &&
                  candidate.confirmed.size() == n &&
                  candidate.embeddings.rows() == static_cast<Eigen::Index>(n),
              "one entry per image");
  ByteWriter out;
  out.raw(kMagic).number(kVersion);
  out.string(candidate.method).string(candidate.note);
  out.string(candidate.model->serialize());
  out.number(candidate.churn);
  out.number(static_cast<std::uint64_t>(candidate.scores.size()));
  for (const auto& [name, value] : candidate.scores) {
    out.string(name).number(value);
  }
  out.number(static_cast<std::uint64_t>(candidate.concerns.size()));
  for (const std::string& concern : candidate.concerns) out.string(concern);
  out.number(static_cast<std::uint64_t>(candidate.clusters.size()));
  for (const CandidateCluster& cluster : candidate.clusters) {
    write_cluster(out, cluster);
  }
  out.number(static_cast<std::uint64_t>(candidate.ended.size()));
  for (const auto& [id, heirs] : candidate.ended) {
    out.number(id.value()).number(static_cast<std::uint64_t>(heirs.size()));
    for (const std::size_t heir : heirs) {
      out.number(static_cast<std::uint64_t>(heir));
    }
  }
  out.number(static_cast<std::uint64_t>(n));
  append_floats(out, candidate.embeddings.data(),
                static_cast<std::size_t>(candidate.embeddings.size()));
  for (std::size_t i = 0; i < n; ++i) {
    out.number(seqs[i].value())
        .number(static_cast<std::int32_t>(candidate.labels[i]))
        .number(candidate.confidences[i])
        .number(candidate.distances[i])
        .number(candidate.confirmed[i]);
  }
  const Sha256Digest digest = sha256(out.bytes());
  out.raw(digest_bytes(digest));
  return write_file_atomically(file, out.bytes());
}

Result<LoadedCandidate> read_candidate(const std::filesystem::path& file) {
  SHOAL_TRY(bytes, read_file(file, kMaxFileBytes));
  auto loaded = parse(bytes);
  if (!loaded) return loaded.error().within(file.string());
  return loaded;
}

}  // namespace shoal
