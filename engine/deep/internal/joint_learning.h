#pragma once

#include <random>
#include <vector>

#include "common/matrix.h"
#include "common/result.h"
#include "engine/cluster/constraints.h"
#include "engine/deep/jule.h"

namespace shoal {

/// Most length of a gradient over all weights. With weights as small as new
/// nets have, the normalised output changes a hundred times as fast as they
/// do, and the first steps can throw all rows onto one point, where the loss
/// has no gradient. The source's nets do without this limit.
inline constexpr double kMaxGradient = 1;

/// The net that joint learning trains, together with the rows it sees.
/// Owner-thread.
class EmbeddingNet {
 public:
  virtual ~EmbeddingNet() = default;
  [[nodiscard]] virtual Eigen::Index rows() const = 0;
  /// @return (n, width): z of all rows
  [[nodiscard]] virtual Matrix run() const = 0;
  /// z of some rows, which the next `step` refers to.
  virtual const Matrix& forward(const std::vector<int>& rows) = 0;
  /// @param gradient  (rows, width) of the loss by the output of `forward`
  virtual void step(const Matrix& gradient, double rate) = 0;
};

struct JointResult {
  std::vector<int> labels;  ///< (n)
  Matrix embeddings;        ///< (n, width)
  int periods = 0;
};

/// Periods of merging and training in turn, and the last agglomeration from
/// scratch: steps 1 to 7 of ALGORITHMS section 3.
/// @param start  (n, d) the representation in which the first period merges
/// @param random  decides order and negatives; options.seed is not used
/// Errors: kInvalidArgument when z is not finite any more; kCancelled.
[[nodiscard]] Result<JointResult> learn_jointly(
    EmbeddingNet& net, MatrixView start, const ClusterConstraints& constraints,
    const JuleOptions& options, std::mt19937_64& random);

/// Errors: kInvalidArgument naming the option.
[[nodiscard]] Result<void> check_jule_options(const JuleOptions& options);
/// Errors: kInvalidArgument.
[[nodiscard]] Result<void> check_jule_rows(
    MatrixView data, const ClusterConstraints& constraints,
    const JuleOptions& options);

}  // namespace shoal
