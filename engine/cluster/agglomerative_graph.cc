#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <string>
#include <tuple>
#include <utility>

#include "engine/cluster/agglomerative.h"
#include "engine/cluster/internal/merge_tree.h"
#include "engine/cluster/neighbour_graph.h"

namespace shoal {
namespace {

using internal::FoundMerge;

/// What a cluster knows of the edges to another.
struct Link {
  int to = 0;           // a cluster; out of date once that one has merged
  int edges = 1;        // of the graph
  double distance = 0;  // the edges' sum, largest or smallest, by linkage
};

/// A cluster's nearest neighbour when it was last looked up.
struct Proposal {
  double distance = 0;
  int cluster = 0;
  int nearest = 0;

  [[nodiscard]] bool operator>(const Proposal& other) const {
    return std::tie(distance, cluster, nearest) >
           std::tie(other.distance, other.cluster, other.nearest);
  }
};

/// Clusters and their links while they merge. A merged cluster takes the name
/// of one of the two; links elsewhere find it through `names_`.
class LinkedClusters {
 public:
  LinkedClusters(MatrixView data, Linkage linkage)
      : linkage_(linkage),
        names_(static_cast<std::size_t>(data.rows())),
        data_(data),
        centroids_(names_rows()),
        sizes_(names_rows(), 1.0),
        versions_(names_rows(), 0),
        links_(names_rows()) {}

  /// Links the nearest clusters of the given ones, both ways.
  Result<void> link(const std::vector<int>& clusters, int neighbours,
                    const std::function<bool()>& cancelled) {
    Matrix rows(static_cast<Eigen::Index>(clusters.size()), data_.cols());
    for (std::size_t i = 0; i < clusters.size(); ++i) {
      rows.row(static_cast<Eigen::Index>(i)) =
          centroid(clusters[i]).transpose().cast<float>();
    }
    const int kept =
        std::min(neighbours, static_cast<int>(clusters.size()) - 1);
    SHOAL_TRY(graph, nearest_neighbours(rows, kept, cancelled));
    const auto each = static_cast<std::size_t>(kept);
    const auto lists = [&](std::size_t of, int wanted) {
      const auto begin =
          graph.index.begin() + static_cast<std::ptrdiff_t>(of * each);
      return std::find(begin, begin + kept, wanted) != begin + kept;
    };
    for (std::size_t i = 0; i < graph.index.size(); ++i) {
      const std::size_t from = i / each;
      const auto to = static_cast<std::size_t>(graph.index[i]);
      const double distance = std::sqrt(graph.squared_l2[i]);
      links_of(clusters[from]).push_back({clusters[to], 1, distance});
      if (!lists(to, static_cast<int>(from))) {
        links_of(clusters[to]).push_back({clusters[from], 1, distance});
      }
    }
    for (const int cluster : clusters) propose(cluster);
    return ok();
  }

  /// Merges the nearest two clusters that are linked.
  /// @return false when there are none
  bool merge_nearest(FoundMerge* merge) {
    while (!proposals_.empty()) {
      const auto [proposal, versions] = proposals_.top();
      proposals_.pop();
      const int a = proposal.cluster;
      const int b = proposal.nearest;
      if (names_.find(a) != a || version(a) != versions.first) continue;
      if (names_.find(b) != b || version(b) != versions.second) {
        propose(a);
        continue;
      }
      *merge = {a, b, proposal.distance};
      join(a, b);
      propose(a);
      return true;
    }
    return false;
  }

  /// Those not merged into others, ascending.
  [[nodiscard]] std::vector<int> live() {
    std::vector<int> clusters;
    for (int i = 0; i < static_cast<int>(links_.size()); ++i) {
      if (names_.find(i) == i) clusters.push_back(i);
    }
    return clusters;
  }

 private:
  [[nodiscard]] std::size_t names_rows() const {
    return static_cast<std::size_t>(data_.rows());
  }
  std::vector<Link>& links_of(int cluster) {
    return links_[static_cast<std::size_t>(cluster)];
  }
  [[nodiscard]] Eigen::VectorXd centroid(int cluster) const {
    const auto& stored = centroids_[static_cast<std::size_t>(cluster)];
    return stored.size() > 0
               ? stored
               : Eigen::VectorXd(data_.row(cluster).transpose().cast<double>());
  }
  [[nodiscard]] int version(int cluster) const {
    return versions_[static_cast<std::size_t>(cluster)];
  }
  [[nodiscard]] double size(int cluster) const {
    return sizes_[static_cast<std::size_t>(cluster)];
  }

  [[nodiscard]] double distance(int from, const Link& link) const {
    switch (linkage_) {
      case Linkage::kWard: {
        const double both = size(from) + size(link.to);
        return std::sqrt(2 * size(from) * size(link.to) / both *
                         (centroid(from) - centroid(link.to)).squaredNorm());
      }
      case Linkage::kAverage:
        return link.distance / link.edges;
      case Linkage::kComplete:
      case Linkage::kSingle:
        break;
    }
    return link.distance;
  }

  [[nodiscard]] double combine(double a, double b) const {
    switch (linkage_) {
      case Linkage::kComplete:
        return std::max(a, b);
      case Linkage::kSingle:
        return std::min(a, b);
      case Linkage::kAverage:
      case Linkage::kWard:
        break;
    }
    return a + b;
  }

  /// Brings a cluster's links up to date: one for each other cluster.
  void tidy(int cluster) {
    std::vector<Link>& links = links_of(cluster);
    for (Link& link : links) link.to = names_.find(link.to);
    std::sort(links.begin(), links.end(),
              [](const Link& a, const Link& b) { return a.to < b.to; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < links.size(); ++i) {
      if (links[i].to == cluster) continue;
      if (kept > 0 && links[kept - 1].to == links[i].to) {
        Link& same = links[kept - 1];
        same.distance = combine(same.distance, links[i].distance);
        same.edges += links[i].edges;
      } else {
        links[kept++] = links[i];
      }
    }
    links.resize(kept);
  }

  /// Pairs not in `proposals_` are safe: of two clusters the later made one
  /// has proposed the other or one at least as near, and what lies between
  /// two clusters does not change while both live.
  void propose(int cluster) {
    tidy(cluster);
    const std::vector<Link>& links = links_of(cluster);
    if (links.empty()) return;
    Proposal best{distance(cluster, links.front()), cluster, links.front().to};
    for (const Link& link : links) {
      const double candidate = distance(cluster, link);
      if (candidate < best.distance) best = {candidate, cluster, link.to};
    }
    proposals_.push({best, {version(cluster), version(best.nearest)}});
  }

  /// Puts b into a.
  void join(int a, int b) {
    const double both = size(a) + size(b);
    const Eigen::VectorXd centroid_b = centroid(b);
    Eigen::VectorXd centroid_a = centroid(a);
    centroid_a += size(b) / both * (centroid_b - centroid_a);
    centroids_[static_cast<std::size_t>(a)] = std::move(centroid_a);
    centroids_[static_cast<std::size_t>(b)].resize(0);
    sizes_[static_cast<std::size_t>(a)] = both;
    ++versions_[static_cast<std::size_t>(a)];
    names_.join(a, b);
    std::vector<Link>& gone = links_of(b);
    links_of(a).insert(links_of(a).end(), gone.begin(), gone.end());
    std::vector<Link>().swap(gone);
  }

  Linkage linkage_;
  internal::DisjointSets names_;
  MatrixView data_;
  /// Of clusters with several rows, so that all of them take no more memory
  /// than the data; a lone row is its own centroid.
  std::vector<Eigen::VectorXd> centroids_;
  std::vector<double> sizes_;
  std::vector<int> versions_;  // merges into the cluster
  std::vector<std::vector<Link>> links_;
  /// With the versions of both clusters. At most two for each live cluster.
  using Entry = std::pair<Proposal, std::pair<int, int>>;
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.first > b.first;
    }
  };
  std::priority_queue<Entry, std::vector<Entry>, Later> proposals_;
};

}  // namespace

Result<AgglomerativeResult> agglomerative_on_graph(
    MatrixView data, int neighbours, const AgglomerativeOptions& options) {
  const auto n = static_cast<std::size_t>(data.rows());
  SHOAL_TRY(internal::check_cluster_number(n, options.clusters));
  if (neighbours < 1) {
    return invalid_argument("agglomeration: a graph of " +
                            std::to_string(neighbours) + " neighbours");
  }
  if (!data.allFinite()) {
    return invalid_argument(
        "agglomeration: the data hold a value that is not finite");
  }
  LinkedClusters clusters(data, options.linkage);
  std::vector<FoundMerge> merges;
  merges.reserve(n - 1);
  while (merges.size() + 1 < n) {
    SHOAL_TRY(clusters.link(clusters.live(), neighbours, options.cancelled));
    FoundMerge merge;
    while (clusters.merge_nearest(&merge)) {
      if (options.cancelled && options.cancelled()) {
        return internal::agglomeration_cancelled();
      }
      if (!merges.empty()) {
        merge.distance = std::max(merge.distance, merges.back().distance);
      }
      merges.push_back(merge);
    }
  }
  return internal::make_tree(merges, n, options.clusters);
}

}  // namespace shoal
