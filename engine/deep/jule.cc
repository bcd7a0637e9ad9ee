#include "engine/deep/jule.h"

#include <new>
#include <random>
#include <string>
#include <utility>

#include "engine/deep/internal/joint_learning.h"
#include "engine/deep/internal/mlp_trainer.h"

namespace shoal {
namespace {

/// Standard deviation of a new net's weights.
constexpr float kWeightDeviation = 0.01F;

/// d -> hidden... with normal weights and biases of 0.
Mlp new_net(Eigen::Index inputs, const std::vector<int>& hidden,
            std::mt19937_64& random) {
  std::normal_distribution<float> normal(0, kWeightDeviation);
  Mlp net;
  net.limit_input = true;
  net.normalise = true;
  for (const int width : hidden) {
    Mlp::Layer layer{Matrix(width, inputs), Vector::Zero(width)};
    for (Eigen::Index i = 0; i < layer.weight.size(); ++i) {
      layer.weight.data()[i] = normal(random);
    }
    net.layers.push_back(std::move(layer));
    inputs = width;
  }
  return net;
}

Matrix limited_rows(MatrixView data) {
  Mlp limit;
  limit.limit_input = true;
  return limit.run(data);
}

/// One MLP on rows no longer than 1. Owner-thread.
class RowNet final : public EmbeddingNet {
 public:
  RowNet(MatrixView data, const JuleOptions& options, std::mt19937_64& random)
      : data_(limited_rows(data)),
        trainer_(new_net(data.cols(), options.hidden, random),
                 {options.momentum, options.weight_decay, kMaxGradient}) {}

  [[nodiscard]] Eigen::Index rows() const override { return data_.rows(); }
  [[nodiscard]] Matrix run() const override {
    return trainer_.mlp().run(data_);
  }
  const Matrix& forward(const std::vector<int>& rows) override {
    return trainer_.forward(data_(rows, Eigen::all));
  }
  void step(const Matrix& gradient, double rate) override {
    trainer_.step(gradient, rate);
  }

  [[nodiscard]] const Matrix& data() const { return data_; }
  [[nodiscard]] const Mlp& mlp() const { return trainer_.mlp(); }

 private:
  const Matrix data_;
  MlpTrainer trainer_;
};

}  // namespace

Result<JuleResult> jule(MatrixView data, const ClusterConstraints& constraints,
                        const JuleOptions& options) {
  SHOAL_TRY(check_jule_options(options));
  SHOAL_TRY(check_jule_rows(data, constraints, options));
  try {
    std::mt19937_64 random(options.seed);
    RowNet net(data, options, random);
    SHOAL_TRY(learned,
              learn_jointly(net, net.data(), constraints, options, random));
    return JuleResult{std::move(learned.labels), std::move(learned.embeddings),
                      net.mlp(), learned.periods};
  } catch (const std::bad_alloc&) {
    return resource_exhausted("JULE: not enough memory for " +
                              std::to_string(data.rows()) + " rows of " +
                              std::to_string(data.cols()) + " values");
  }
}

}  // namespace shoal
