#include "engine/transfer/net_learner.h"

#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/softmax.h>
#include <spdlog/fmt/fmt.h>

#include "engine/transfer/augment.h"
#include "engine/transfer/internal/fine_tuning.h"
#include "engine/transfer/internal/frozen_part.h"
#include "engine/transfer/internal/head_fit.h"
#include "engine/transfer/internal/split.h"
#include "engine/transfer/internal/trained_part.h"
#include "engine/views/internal/executor.h"
#include "engine/views/internal/load_net.h"
#include "engine/views/internal/translated.h"

namespace shoal {
namespace {

using internal::translated;

Result<void> check_options(const NetOptions& options,
                           const ImageSource& images) {
  if (images.rows == 0 || !images.read) {
    return invalid_argument("net learner: there are no images");
  }
  if (options.variants < 1 || options.variants > kImageVariants ||
      options.max_epochs < 1 || options.patience < 1 || options.batch < 1) {
    return invalid_argument(fmt::format(
        "net learner: variants must be 1 to {}, and epochs, patience and "
        "batch at least 1",
        kImageVariants));
  }
  if (!(options.learning_rate > 0) || !(options.head_factor > 0) ||
      !(options.momentum >= 0 && options.momentum < 1) ||
      !(options.weight_decay >= 0)) {
    return invalid_argument(
        "net learner: learning rates must be above 0, the momentum in [0, 1) "
        "and the weight decay not below 0");
  }
  return internal::check_head_options(options.head);
}

/// A (rows, columns) float32 tensor of its own.
at::Tensor to_tensor(MatrixView values) {
  Matrix packed = values;
  return at::from_blob(packed.data(), {packed.rows(), packed.cols()},
                       at::kFloat)
      .clone();
}

Matrix to_matrix(const at::Tensor& values) {
  const at::Tensor packed = values.to(at::kFloat).contiguous();
  Matrix matrix(packed.size(0), packed.size(1));
  std::memcpy(matrix.data(), packed.data_ptr<float>(), packed.nbytes());
  return matrix;
}

/// The graph's weights, convolutions' in the memory format of its maps.
std::vector<at::Tensor> parameters_of(const internal::Graph& graph) {
  std::vector<at::Tensor> parameters;
  for (const internal::Parameter& parameter : graph.parameters()) {
    parameters.push_back(
        parameter.values.dim() == 4
            ? parameter.values.contiguous(at::MemoryFormat::ChannelsLast)
            : parameter.values);
  }
  return parameters;
}

std::string describe(const ModelFolder& model, const internal::Graph& graph,
                     const internal::TrainedPart& part) {
  std::int64_t trained = 0;
  for (const std::size_t index : part.parameters) {
    trained += graph.parameters()[index].values.numel();
  }
  return fmt::format(
      "{} from {}; trains {}", model.architecture,
      model.weights.empty() ? "random values, there being no weights"
                            : model.weights.string(),
      trained == 0 ? "a new last layer"
                   : fmt::format("{} parameters from layer {} on and a new "
                                 "last layer",
                                 trained, part.first));
}

class FineTunedNet final : public NetLearner {
 public:
  FineTunedNet(internal::Graph graph, const ModelFolder& model,
               ImageSource images, const NetOptions& options)
      : options_(options),
        graph_(std::move(graph)),
        part_(internal::trained_part(graph_, options.layers)),
        pretrained_(parameters_of(graph_)),
        frozen_(graph_, pretrained_, part_.from,
                internal::PixelTransform(model), std::move(images), options),
        tuning_(graph_, part_, frozen_, options_),
        note_(describe(model, graph_, part_)) {}

  [[nodiscard]] const std::string& note() const override { return note_; }

  /// Runs the pretrained net on all variants of all images.
  [[nodiscard]] Result<void> prepare() {
    return translated([&]() -> Result<void> {
      const at::NoGradGuard no_grad;
      // Views of the matrices are kept, so they must not move.
      features_.reserve(static_cast<std::size_t>(options_.variants));
      for (int variant = 0; variant < options_.variants; ++variant) {
        SHOAL_TRY(features, pretrained_features(variant));
        features_.push_back(std::move(features));
        views_.emplace_back(features_.back());
      }
      return ok();
    });
  }

  [[nodiscard]] Result<double> fit(const std::vector<std::size_t>& rows,
                                   const std::vector<int>& labels,
                                   int classes) override {
    SHOAL_TRY(internal::check_examples(rows, labels, classes, frozen_.rows()));
    SHOAL_TRY(fitted,
              internal::fit_head(views_, rows, labels, classes, options_.head));
    return translated([&]() -> Result<double> {
      internal::TunedNet start{pretrained_, to_tensor(fitted.head.weight),
                               to_tensor(fitted.head.bias).view(-1)};
      if (part_.parameters.empty()) {
        net_ = std::move(start);
        return fitted.loss;
      }
      const internal::Split split = internal::hold_out(
          rows, labels, classes, options_.head.held_out, options_.head.seed);
      SHOAL_TRY(tuned, tuning_.tune(start, split));
      SHOAL_TRY(
          loss,
          tuning_.loss(tuned, {rows, labels,
                               internal::balanced_weights(labels, classes)}));
      net_ = std::move(tuned);
      return loss;
    });
  }

  [[nodiscard]] Result<Prediction> predict(
      const std::vector<std::size_t>& rows) override {
    if (net_.parameters.empty()) {
      return failed_precondition("net learner: asked before it was fitted");
    }
    SHOAL_TRY(internal::check_rows(rows, frozen_.rows()));
    if (rows.empty()) {
      return Prediction{{},
                        Matrix(0, features_.front().cols()),
                        Matrix(0, net_.weight.size(0))};
    }
    return translated([&]() -> Result<Prediction> {
      const at::NoGradGuard no_grad;
      SHOAL_TRY(features, features_of(net_, rows, 0));
      Prediction prediction;
      prediction.probabilities = to_matrix(
          at::softmax(at::linear(features, net_.weight, net_.bias), 1));
      prediction.features = to_matrix(features);
      prediction.labels = internal::most_probable(prediction.probabilities);
      return prediction;
    });
  }

 private:
  /// @return (rows, d), rows of length 1
  [[nodiscard]] Result<at::Tensor> features_of(
      const internal::TunedNet& net, const std::vector<std::size_t>& rows,
      int variant) {
    std::vector<at::Tensor> parts;
    for (const auto& forms :
         internal::batches_of(rows, variant, options_.batch)) {
      SHOAL_TRY(part, tuning_.features(net, forms));
      parts.push_back(std::move(part));
    }
    return at::cat(parts);
  }

  [[nodiscard]] Result<Matrix> pretrained_features(int variant) {
    std::vector<std::size_t> rows(frozen_.rows());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    SHOAL_TRY(found, features_of({pretrained_, {}, {}}, rows, variant));
    Matrix features = to_matrix(found);
    if (!features.allFinite()) {
      return internal_error(
          "net learner: the net gives values that are not finite");
    }
    return features;
  }

  NetOptions options_;
  internal::Graph graph_;
  internal::TrainedPart part_;
  std::vector<at::Tensor> pretrained_;  // one for each of the graph's
  internal::FrozenPart frozen_;
  internal::FineTuning tuning_;
  std::vector<Matrix> features_;   // per variant, pretrained, rows of length 1
  std::vector<MatrixView> views_;  // of features_
  internal::TunedNet net_;         // of the last fit
  std::string note_;
};

}  // namespace

Result<std::unique_ptr<NetLearner>> make_net_learner(
    const ModelFolder& model, ImageSource images, const NetOptions& options) {
  SHOAL_TRY(check_options(options, images));
  if (model.architecture == "torchscript") {
    return unsupported(
        "net learner: a TorchScript module is run as it is and cannot be "
        "trained; expected another architecture");
  }
  SHOAL_TRY(net, model.weights.empty()
                     ? internal::random_net(model, options.head.seed)
                     : internal::load_net(model));
  const internal::Shape input = {3, model.input_height, model.input_width};
  SHOAL_TRY(graph, internal::build_graph(
                       internal::sequential({net.trunk, net.feature}), input));
  auto learner = std::make_unique<FineTunedNet>(internal::fused(graph), model,
                                                std::move(images), options);
  SHOAL_TRY(learner->prepare());
  return std::unique_ptr<NetLearner>(std::move(learner));
}

}  // namespace shoal
