#include "engine/refine/candidate_file.h"

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "common/file.h"
#include "common/sha256.h"
#include "tests/engine/random_data.h"

namespace shoal {
namespace {

constexpr std::size_t kDigestBytes = 32;

struct Fixture {
  Candidate candidate;
  std::vector<ImageSeq> seqs;
};

Fixture make_fixture() {
  Fixture made;
  const Matrix features = test::normal_matrix(20, 6, 1);
  made.candidate.method = "km";
  made.candidate.note = "two clusters";
  made.candidate.model = fit_whitened_pca({{"v", 6}}, {features}, 3).value();
  made.candidate.embeddings = made.candidate.model->embed({features});
  for (std::uint64_t c = 0; c < 3; ++c) {
    CandidateCluster cluster;
    cluster.id = ClusterId(c * 4);
    const auto row = static_cast<Eigen::Index>(c);
    cluster.prototypes.push_back(
        {made.candidate.embeddings.row(row).transpose(), 1.5F});
    if (c == 0) cluster.parents = {ClusterId(9), ClusterId(2)};
    made.candidate.clusters.push_back(std::move(cluster));
  }
  made.candidate.clusters[2].prototypes.push_back(
      {Vector::Zero(3), std::numeric_limits<float>::infinity()});
  made.candidate.ended = {{ClusterId(9), {1, 0}}, {ClusterId(12), {}}};
  for (std::uint64_t i = 0; i < 20; ++i) {
    made.candidate.labels.push_back(static_cast<int>(i % 4) - 1);
    made.candidate.confidences.push_back(0.25F);
    made.candidate.distances.push_back(static_cast<float>(i));
    made.candidate.confirmed.push_back(made.candidate.labels.back() >= 0 &&
                                       i % 2 == 0);
    made.seqs.emplace_back(100 + 3 * i);
  }
  made.candidate.scores = {{"silhouette", -0.25}, {"inertia", 17.5}};
  made.candidate.churn = 0.125;
  made.candidate.concerns = {"churn is 0.9", "worse"};
  return made;
}

class CandidateFile : public testing::Test {
 protected:
  std::filesystem::path file() const { return folder_.path() / "candidate"; }
  std::string written(const Fixture& fixture) {
    EXPECT_TRUE(
        write_candidate(file(), fixture.candidate, fixture.seqs).has_value());
    return read_file(file(), 1 << 20).value();
  }
  ErrorCode error_of(const std::string& bytes) {
    EXPECT_TRUE(write_file_atomically(file(), bytes).has_value());
    const auto result = read_candidate(file());
    return result ? ErrorCode::kInternal : result.error().code;
  }
  /// As an attacker would: a right checksum over wrong content.
  static std::string sealed(std::string bytes) {
    bytes.resize(bytes.size() - kDigestBytes);
    const Sha256Digest digest = sha256(bytes);
    return bytes + std::string(digest.begin(), digest.end());
  }

 private:
  TemporaryFolder folder_ =
      TemporaryFolder::create("shoal-candidate-test").value();
};

TEST_F(CandidateFile, GivesBackEverythingAndWritesTheSameAgain) {
  const Fixture fixture = make_fixture();
  const std::string bytes = written(fixture);
  const LoadedCandidate loaded = read_candidate(file()).value();
  const Candidate& a = fixture.candidate;
  const Candidate& b = loaded.candidate;
  EXPECT_EQ(loaded.seqs, fixture.seqs);
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.note, b.note);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.confidences, b.confidences);
  EXPECT_EQ(a.distances, b.distances);
  EXPECT_EQ(a.embeddings, b.embeddings);
  EXPECT_EQ(a.scores, b.scores);
  EXPECT_EQ(a.churn, b.churn);
  EXPECT_EQ(a.concerns, b.concerns);
  EXPECT_EQ(a.ended, b.ended);
  EXPECT_EQ(a.model->serialize(), b.model->serialize());
  ASSERT_EQ(b.clusters.size(), 3U);
  EXPECT_EQ(a.clusters[0].parents, b.clusters[0].parents);
  EXPECT_EQ(a.clusters[1].id, b.clusters[1].id);
  ASSERT_EQ(b.clusters[2].prototypes.size(), 2U);
  EXPECT_EQ(a.clusters[2].prototypes[0].centroid,
            b.clusters[2].prototypes[0].centroid);
  EXPECT_TRUE(std::isinf(b.clusters[2].prototypes[1].novelty_threshold));
  ASSERT_TRUE(write_candidate(file(), b, loaded.seqs).has_value());
  EXPECT_EQ(read_file(file(), 1 << 20).value(), bytes);
}

TEST_F(CandidateFile, AMissingFileIsNotFound) {
  EXPECT_EQ(read_candidate(file()).error().code, ErrorCode::kNotFound);
}

TEST_F(CandidateFile, WritingIntoAMissingFolderFails) {
  const Fixture fixture = make_fixture();
  EXPECT_EQ(
      write_candidate(file() / "no" / "such", fixture.candidate, fixture.seqs)
          .error()
          .code,
      ErrorCode::kIo);
}

TEST_F(CandidateFile, EveryChangedByteIsNoticed) {
  const std::string bytes = written(make_fixture());
  for (std::size_t at = 0; at < bytes.size(); at += 7) {
    std::string broken = bytes;
    broken[at] = static_cast<char>(broken[at] ^ 0x40);
    EXPECT_EQ(error_of(broken), ErrorCode::kCorruption) << at;
  }
}

TEST_F(CandidateFile, EveryTruncationIsNoticedEvenWithARightChecksum) {
  const std::string bytes = written(make_fixture());
  for (std::size_t size = 0; size < bytes.size(); size += 5) {
    const std::string head = bytes.substr(0, size);
    EXPECT_EQ(error_of(head), ErrorCode::kCorruption) << size;
    if (size >= kDigestBytes) {
      EXPECT_EQ(error_of(sealed(head)), ErrorCode::kCorruption) << size;
    }
  }
  EXPECT_EQ(error_of(sealed(bytes + "x")), ErrorCode::kCorruption);
}

TEST_F(CandidateFile, SurvivesMutatedContentWithARightChecksum) {
  const std::string bytes = written(make_fixture());
  std::mt19937_64 random(3);
  std::uniform_int_distribution<std::size_t> place(0, bytes.size() - 1);
  std::uniform_int_distribution<int> value(0, 255);
  int refused = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string broken = bytes;
    broken[place(random)] = static_cast<char>(value(random));
    if (round % 2 == 0) {
      // A count made huge.
      broken[place(random)] = '\xff';
    }
    ASSERT_TRUE(write_file_atomically(file(), sealed(broken)).has_value());
    const auto result = read_candidate(file());
    if (!result) {
      ++refused;
      continue;
    }
    const Candidate& candidate = result.value().candidate;
    EXPECT_EQ(candidate.labels.size(), result.value().seqs.size());
    for (const int label : candidate.labels) {
      EXPECT_LT(label, static_cast<int>(candidate.clusters.size()));
    }
  }
  EXPECT_GT(refused, 100);
}

TEST_F(CandidateFile, RefusesValuesThatNoRunGives) {
  const auto refused = [&](const std::function<void(Candidate&)>& spoil) {
    Fixture fixture = make_fixture();
    spoil(fixture.candidate);
    return error_of(written(fixture)) == ErrorCode::kCorruption;
  };
  const float nan = std::nanf("");
  EXPECT_FALSE(refused([](Candidate&) {}));
  EXPECT_TRUE(refused([](Candidate& c) { c.labels[3] = 3; }));
  EXPECT_TRUE(refused([](Candidate& c) { c.labels[3] = -2; }));
  EXPECT_TRUE(refused([&](Candidate& c) { c.confidences[0] = nan; }));
  EXPECT_TRUE(refused([](Candidate& c) { c.confidences[0] = 1.5F; }));
  EXPECT_TRUE(refused([&](Candidate& c) { c.distances[0] = nan; }));
  EXPECT_TRUE(refused([](Candidate& c) { c.distances[0] = -1; }));
  EXPECT_TRUE(refused([&](Candidate& c) { c.embeddings(2, 1) = nan; }));
  EXPECT_TRUE(refused([&](Candidate& c) { c.scores["x"] = nan; }));
  EXPECT_TRUE(refused([](Candidate& c) { c.churn = 2; }));
  EXPECT_TRUE(refused([](Candidate& c) { c.ended[ClusterId(1)] = {3}; }));
  EXPECT_TRUE(refused([](Candidate& c) { c.clusters[1].id = ClusterId(8); }));
  EXPECT_TRUE(refused([&](Candidate& c) {
    c.clusters[1].prototypes[0].novelty_threshold = nan;
  }));
  EXPECT_TRUE(refused(
      [&](Candidate& c) { c.clusters[1].prototypes[0].centroid[0] = nan; }));
}

}  // namespace
}  // namespace shoal
