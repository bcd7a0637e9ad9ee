#include "engine/transfer/net_learner.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/transfer/augment.h"
#include "engine/transfer/internal/fine_tuning.h"
#include "engine/transfer/internal/frozen_part.h"
#include "engine/transfer/internal/trained_part.h"
#include "engine/views/cnn.h"
#include "engine/views/internal/load_net.h"
#include "engine/views/model_folder.h"
#include "tests/support/data.h"

namespace shoal {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kSide = 32;
constexpr int kClasses = 3;

/// A small net without weights.
ModelFolder small_model() {
  ModelFolder model;
  model.architecture = "mobilenet_v1";
  model.variant = R"({"width": 0.25, "classes": 0})";
  model.input_width = model.input_height = kSide;
  model.scale = 1.0F / 128;
  model.mean = {128, 128, 128};
  return model;
}

/// Noise with stripes whose direction is the class.
Image striped(int kind, std::mt19937& random) {
  Image image{kSide, kSide, {}};
  const auto phase = static_cast<double>(random() % 100) / 16;
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const double along = kind == 0 ? x : kind == 1 ? y : x + y;
      const double value = 128 + 70 * std::sin(along * 0.8 + phase) +
                           static_cast<double>(random() % 60);
      for (int c = 0; c < 3; ++c) {
        image.rgb.push_back(static_cast<std::uint8_t>(value));
      }
    }
  }
  return image;
}

struct Stripes {
  std::vector<Image> images;
  std::vector<int> truth;
  std::vector<std::size_t> rows;

  explicit Stripes(std::size_t n, unsigned seed = 1) {
    std::mt19937 random(seed);
    for (std::size_t row = 0; row < n; ++row) {
      truth.push_back(static_cast<int>(row % kClasses));
      images.push_back(striped(truth.back(), random));
      rows.push_back(row);
    }
  }
  [[nodiscard]] ImageSource source() const {
    return {images.size(),
            [this](std::size_t row) -> Result<Image> { return images[row]; }};
  }
};

ModelFolder pretrained_model() {
  return read_model_folder(test::shared_data() / "models/mobilenet_v1_075_192")
      .value();
}

/// The images at a net's input size.
Stripes resized(Stripes data, const ModelFolder& model) {
  for (Image& image : data.images) {
    image = resize_image(image, model.input_width, model.input_height);
  }
  return data;
}

NetOptions quick(TrainedLayers layers) {
  NetOptions options;
  options.layers = layers;
  options.variants = 1;
  options.max_epochs = 6;
  options.learning_rate = 0.01;
  return options;
}

internal::Graph random_graph(const ModelFolder& model) {
  const auto net = internal::random_net(model, 1).value();
  return internal::fused(
      internal::build_graph(internal::sequential({net.trunk, net.feature}),
                            {3, model.input_height, model.input_width})
          .value());
}

std::string first_trained(const std::string& architecture, int side) {
  ModelFolder model;
  model.architecture = architecture;
  model.input_width = model.input_height = side;
  return internal::trained_part(random_graph(model), TrainedLayers::kLastBlock)
      .first;
}

TEST(TrainedPart, TheLastBlockOfEachArchitectureIsAsDocumented) {
  EXPECT_EQ(first_trained("alexnet", 224), "features.6");
  EXPECT_EQ(first_trained("alexnet_bvlc", 227), "conv3");
  EXPECT_EQ(first_trained("densenet121", 224),
            "features.denseblock4.denselayer15.norm1");
  EXPECT_EQ(first_trained("efficientnet_b0", 224), "features.7.0.block.0.0");
  EXPECT_EQ(first_trained("googlenet", 224), "inception5b.branch1.conv");
  EXPECT_EQ(first_trained("googlenet_bvlc", 224), "inc5b.b1");
  EXPECT_EQ(first_trained("inception_v3", 299), "Mixed_7c.branch1x1.conv");
  EXPECT_EQ(first_trained("lenet", 32), "conv2");
  EXPECT_EQ(first_trained("mobilenet_v1", 224), "pw11");
  EXPECT_EQ(first_trained("mobilenet_v2", 224), "features.17.conv.0.0");
  EXPECT_EQ(first_trained("resnet18", 224), "layer4.0.conv1");
  EXPECT_EQ(first_trained("resnet50", 224), "layer4.2.conv1");
  EXPECT_EQ(first_trained("resnet34", 224), "layer4.1.conv1");
  EXPECT_EQ(first_trained("resnet101", 224), "layer4.2.conv1");
  EXPECT_EQ(first_trained("squeezenet1_1", 224), "features.10.expand1x1");
  EXPECT_EQ(first_trained("vgg16", 224), "features.28");
  EXPECT_EQ(first_trained("vgg19_bn", 224), "features.49");
  EXPECT_EQ(first_trained("squeezenet1_0", 224), "features.9.expand1x1");
  EXPECT_EQ(first_trained("xception", 299), "conv3.pointwise");
}

TEST(TrainedPart, AllBeginsAtTheFirstLayerAndHeadHasNone) {
  const internal::Graph graph = random_graph(small_model());
  const auto all = internal::trained_part(graph, TrainedLayers::kAll);
  EXPECT_EQ(all.first, "stem");
  EXPECT_EQ(all.parameters.size(), graph.parameters().size());
  const auto none = internal::trained_part(graph, TrainedLayers::kHead);
  EXPECT_EQ(none.first, "");
  EXPECT_TRUE(none.parameters.empty());
}

std::vector<at::Tensor> parameters_of(const internal::Graph& graph) {
  std::vector<at::Tensor> parameters;
  for (const auto& parameter : graph.parameters()) {
    parameters.push_back(parameter.values);
  }
  return parameters;
}

/// FineTuning of the small net with what it needs.
struct Tuner {
  Tuner(const Stripes& data, const NetOptions& with)
      : options(with),
        graph(random_graph(small_model())),
        part(internal::trained_part(graph, options.layers)),
        frozen(graph, parameters_of(graph), part.from,
               internal::PixelTransform(small_model()), data.source(), options),
        tuning(graph, part, frozen, options) {
    start.parameters = parameters_of(graph);
    const auto d = graph.nodes()[graph.output()].shape.size();
    start.weight = at::zeros({kClasses, d});
    start.bias = at::zeros({kClasses});
  }

  NetOptions options;
  internal::Graph graph;
  internal::TrainedPart part;
  internal::FrozenPart frozen;
  internal::FineTuning tuning;
  internal::TunedNet start;
};

TEST(FineTuning, ChangesEveryTrainedParameterAndNoOther) {
  const Stripes data(30);
  for (const TrainedLayers layers :
       {TrainedLayers::kLastBlock, TrainedLayers::kAll}) {
    Tuner tuner(data, quick(layers));
    const auto before = random_graph(small_model());
    const auto split =
        internal::hold_out(data.rows, data.truth, kClasses, 0, 1);
    const auto tuned = tuner.tuning.tune(tuner.start, split).value();
    const auto& trained = tuner.part.parameters;
    ASSERT_FALSE(trained.empty());
    for (std::size_t i = 0; i < before.parameters().size(); ++i) {
      const auto& [name, values] = before.parameters()[i];
      const bool expected =
          std::find(trained.begin(), trained.end(), i) != trained.end();
      EXPECT_EQ(!at::equal(tuned.parameters[i], values), expected) << name;
      // Nor are the weights that it started from written to.
      EXPECT_TRUE(at::equal(tuner.start.parameters[i], values)) << name;
    }
    EXPECT_FALSE(at::equal(tuned.weight, tuner.start.weight));
    EXPECT_FALSE(at::equal(tuned.bias, tuner.start.bias));
  }
}

TEST(FineTuning, TrainsOnChangedImagesAsWell) {
  const Stripes data(12);
  const auto split = internal::hold_out(data.rows, data.truth, kClasses, 0, 1);
  const auto head = [&](int variants) {
    NetOptions options = quick(TrainedLayers::kLastBlock);
    options.variants = variants;
    Tuner tuner(data, options);
    return tuner.tuning.tune(tuner.start, split).value().weight;
  };
  const at::Tensor plain = head(1);
  const at::Tensor changed = head(kImageVariants);
  EXPECT_GT((plain - changed).abs().max().item<double>(),
            1e-2 * plain.abs().max().item<double>());
}

TEST(FineTuning, ClassesWeighTheSameWhateverTheirSize) {
  // A class whose rows all come twice is learned as if they came once. One
  // batch holds them all, so that only the weights could tell.
  const Stripes data(12);
  NetOptions options = quick(TrainedLayers::kAll);
  options.batch = 100;
  std::vector<std::size_t> rows = data.rows;
  std::vector<int> labels = data.truth;
  for (std::size_t row = 0; row < data.rows.size(); row += kClasses) {
    rows.push_back(row);
    labels.push_back(0);
  }
  const auto head = [&](const std::vector<std::size_t>& of,
                        const std::vector<int>& with) {
    Tuner tuner(data, options);
    return tuner.tuning
        .tune(tuner.start, internal::hold_out(of, with, kClasses, 0, 1))
        .value()
        .weight;
  };
  const at::Tensor once = head(data.rows, data.truth);
  const at::Tensor twice = head(rows, labels);
  EXPECT_LT((once - twice).abs().max().item<double>(),
            1e-3 * once.abs().max().item<double>());
}

TEST(NetLearner, SaysWhatItTrainsAndThatItStartsFromRandomValues) {
  const Stripes data(12);
  const auto note = [&](TrainedLayers layers) {
    return make_net_learner(small_model(), data.source(), quick(layers))
        .value()
        ->note();
  };
  EXPECT_THAT(note(TrainedLayers::kAll),
              AllOf(HasSubstr("mobilenet_v1 from random values"),
                    HasSubstr("from layer stem on")));
  EXPECT_THAT(
      note(TrainedLayers::kHead),
      AllOf(HasSubstr("random values"), HasSubstr("trains a new last layer")));
}

TEST(NetLearner, SaysWhichWeightsItStartsFrom) {
  SHOAL_REQUIRE_DATA("models/mobilenet_v1_075_192");
  const ModelFolder model = pretrained_model();
  const Stripes data = resized(Stripes(3), model);
  const auto learner =
      make_net_learner(model, data.source(), quick(TrainedLayers::kLastBlock))
          .value();
  EXPECT_THAT(learner->note(),
              AllOf(HasSubstr("from " + model.weights.string()),
                    Not(HasSubstr("random")), HasSubstr("from layer pw11 on")));
}

/// The loss of a fit to all rows.
double fitted_loss(const ModelFolder& model, const Stripes& data,
                   TrainedLayers layers, double learning_rate) {
  NetOptions options = quick(layers);
  options.max_epochs = options.patience = 40;
  options.batch = 10;
  options.learning_rate = learning_rate;
  auto learner = make_net_learner(model, data.source(), options).value();
  return learner->fit(data.rows, data.truth, kClasses).value();
}

TEST(NetLearner, LearningAllLayersFromRandomValuesLowersTheLoss) {
  const Stripes data(90);
  const ModelFolder model = small_model();
  EXPECT_LT(fitted_loss(model, data, TrainedLayers::kAll, 0.01),
            0.9 * fitted_loss(model, data, TrainedLayers::kHead, 0.01));
}

TEST(NetLearner, LearningTheLastBlockOfARealNetLowersTheLoss) {
  SHOAL_REQUIRE_DATA("models/mobilenet_v1_075_192");
  const ModelFolder model = pretrained_model();
  const Stripes data = resized(Stripes(30), model);
  EXPECT_LT(fitted_loss(model, data, TrainedLayers::kLastBlock, 0.01),
            0.9 * fitted_loss(model, data, TrainedLayers::kHead, 0.01));
}

TEST(NetLearner, EndsEarlyAndKeepsTheFrozenNetWhereNoEpochIsBetter) {
  // Labels without any sense, and steps so large that the held-out loss rises.
  const Stripes data(60);
  std::vector<int> labels;
  for (std::size_t row = 0; row < 60; ++row) {
    labels.push_back(static_cast<int>(row / 2 % kClasses));
  }
  std::size_t reads = 0;
  ImageSource source = data.source();
  source.read = [&](std::size_t row) -> Result<Image> {
    ++reads;
    return data.images[row];
  };
  NetOptions options = quick(TrainedLayers::kAll);
  options.max_epochs = 30;
  options.patience = 3;
  options.learning_rate = 0.1;
  auto learner = make_net_learner(small_model(), source, options).value();
  EXPECT_EQ(reads, 60U);
  reads = 0;
  const double loss = learner->fit(data.rows, labels, kClasses).value();
  // Nothing is kept of a net that is trained from its input on: 6 held-out
  // rows before any and after each of 3 epochs of 54 rows, and all for the
  // loss.
  EXPECT_EQ(reads, 6U + 3 * (54 + 6) + 60);
  options.layers = TrainedLayers::kHead;
  auto frozen = make_net_learner(small_model(), data.source(), options).value();
  EXPECT_NEAR(frozen->fit(data.rows, labels, kClasses).value(), loss, 1e-4);
  EXPECT_LT((frozen->predict(data.rows).value().probabilities -
             learner->predict(data.rows).value().probabilities)
                .cwiseAbs()
                .maxCoeff(),
            1e-4F);
}

TEST(NetLearner, WithNothingHeldOutItRunsAllEpochs) {
  const Stripes data(30);
  std::size_t reads = 0;
  ImageSource source = data.source();
  source.read = [&](std::size_t row) -> Result<Image> {
    ++reads;
    return data.images[row];
  };
  NetOptions options = quick(TrainedLayers::kAll);
  options.head.held_out = 0;
  options.patience = 1;
  auto learner = make_net_learner(small_model(), source, options).value();
  reads = 0;
  ASSERT_TRUE(learner->fit(data.rows, data.truth, kClasses));
  EXPECT_EQ(reads, 6U * 30 + 30);
}

TEST(NetLearner, ItsPredictionsAreSharesOfClassesOnFeaturesOfLengthOne) {
  const Stripes data(30);
  for (const TrainedLayers layers :
       {TrainedLayers::kHead, TrainedLayers::kLastBlock, TrainedLayers::kAll}) {
    auto learner =
        make_net_learner(small_model(), data.source(), quick(layers)).value();
    ASSERT_TRUE(learner->fit(data.rows, data.truth, kClasses));
    const auto prediction = learner->predict({3, 1, 29}).value();
    EXPECT_EQ(prediction.labels.size(), 3U);
    EXPECT_EQ(prediction.features.rows(), 3);
    EXPECT_TRUE(prediction.features.rowwise().norm().isOnes(1e-4F));
    EXPECT_TRUE(prediction.probabilities.rowwise().sum().isOnes(1e-4F));
    const Prediction alone = learner->predict({29}).value();
    EXPECT_TRUE(
        alone.features.row(0).isApprox(prediction.features.row(2), 1e-3F));
  }
}

TEST(NetLearner, WithTheHeadAloneItIsTheHeadLearnerOnItsFeatures) {
  const Stripes data(60);
  const NetOptions options = quick(TrainedLayers::kHead);
  auto net = make_net_learner(small_model(), data.source(), options).value();
  const double loss = net->fit(data.rows, data.truth, kClasses).value();
  const Prediction by_net = net->predict(data.rows).value();
  auto head = make_head_learner({{by_net.features}}, options.head).value();
  EXPECT_NEAR(head->fit(data.rows, data.truth, kClasses).value(), loss, 1e-3);
  const Prediction by_head = head->predict(data.rows).value();
  EXPECT_LT(
      (by_head.probabilities - by_net.probabilities).cwiseAbs().maxCoeff(),
      1e-2F);
}

TEST(NetLearner, WhatIsKeptOfTheFrozenPartChangesNothing) {
  const Stripes data(40);
  const auto probabilities = [&](std::size_t cache_bytes) {
    NetOptions options = quick(TrainedLayers::kLastBlock);
    options.variants = 2;
    options.cache_bytes = cache_bytes;
    auto learner =
        make_net_learner(small_model(), data.source(), options).value();
    (void)learner->fit(data.rows, data.truth, kClasses).value();
    return learner->predict(data.rows).value().probabilities;
  };
  const Matrix kept = probabilities(std::size_t{1} << 30);
  EXPECT_LT((kept - probabilities(0)).cwiseAbs().maxCoeff(), 1e-3F);
  EXPECT_LT((kept - probabilities(20'000)).cwiseAbs().maxCoeff(), 1e-3F);
}

TEST(NetLearner, EveryFitStartsFromTheSameWeights) {
  const Stripes data(30);
  auto learner =
      make_net_learner(small_model(), data.source(), quick(TrainedLayers::kAll))
          .value();
  const auto run = [&] {
    (void)learner->fit(data.rows, data.truth, kClasses).value();
    return learner->predict(data.rows).value().probabilities;
  };
  const Matrix first = run();
  std::vector<int> shifted = data.truth;
  for (int& label : shifted) label = (label + 1) % kClasses;
  ASSERT_TRUE(learner->fit(data.rows, shifted, kClasses));
  EXPECT_LT((run() - first).cwiseAbs().maxCoeff(), 1e-4F);
}

TEST(NetLearner, IsDeterministicForASeed) {
  const Stripes data(40);
  const auto run = [&](std::uint64_t seed) {
    NetOptions options = quick(TrainedLayers::kAll);
    options.variants = kImageVariants;
    options.head.seed = seed;
    auto learner =
        make_net_learner(small_model(), data.source(), options).value();
    (void)learner->fit(data.rows, data.truth, kClasses).value();
    return learner->predict(data.rows).value().probabilities;
  };
  const Matrix first = run(3);
  EXPECT_EQ(run(3), first);
  EXPECT_NE(run(4), first);
}

TEST(NetLearner, LearnsFromChangedImagesAsWell) {
  const Stripes data(30);
  std::size_t reads = 0;
  ImageSource source = data.source();
  source.read = [&](std::size_t row) -> Result<Image> {
    ++reads;
    return data.images[row];
  };
  const auto probabilities = [&](int variants) {
    NetOptions options = quick(TrainedLayers::kLastBlock);
    options.variants = variants;
    reads = 0;
    auto learner = make_net_learner(small_model(), source, options).value();
    EXPECT_EQ(reads, 30U * static_cast<std::size_t>(variants));
    (void)learner->fit(data.rows, data.truth, kClasses).value();
    return learner->predict(data.rows).value().probabilities;
  };
  EXPECT_GT(
      (probabilities(kImageVariants) - probabilities(1)).cwiseAbs().maxCoeff(),
      1e-2F);
}

TEST(NetLearner, CancelledInAFitItAnswersByTheFitBefore) {
  const Stripes data(30);
  int left = 1 << 20;
  NetOptions options = quick(TrainedLayers::kAll);
  options.head.cancelled = [&left] { return left-- <= 0; };
  auto learner =
      make_net_learner(small_model(), data.source(), options).value();
  EXPECT_EQ(learner->predict({0}).error().code, ErrorCode::kFailedPrecondition);
  ASSERT_TRUE(learner->fit(data.rows, data.truth, kClasses));
  const Matrix before = learner->predict(data.rows).value().probabilities;
  std::vector<int> shifted = data.truth;
  for (int& label : shifted) label = (label + 1) % kClasses;
  left = 1 << 20;
  ASSERT_TRUE(learner->fit(data.rows, shifted, kClasses));
  const int asked = (1 << 20) - left;
  ASSERT_TRUE(learner->fit(data.rows, data.truth, kClasses));
  left = asked - 3;  // among the epochs, after the new last layer is fitted
  EXPECT_EQ(learner->fit(data.rows, shifted, kClasses).error().code,
            ErrorCode::kCancelled);
  left = 1 << 20;
  EXPECT_EQ(learner->predict(data.rows).value().probabilities, before);
}

TEST(NetLearner, SaysThatALearningRateIsTooHigh) {
  const Stripes data(30);
  NetOptions options = quick(TrainedLayers::kAll);
  options.learning_rate = 1e38;
  auto learner =
      make_net_learner(small_model(), data.source(), options).value();
  const auto fitted = learner->fit(data.rows, data.truth, kClasses);
  ASSERT_FALSE(fitted);
  EXPECT_EQ(fitted.error().code, ErrorCode::kInternal);
  EXPECT_THAT(fitted.error().message, HasSubstr("a lower learning rate"));
}

TEST(NetLearner, NeverPredictsAClassWithoutRows) {
  const Stripes data(30);
  auto learner = make_net_learner(small_model(), data.source(),
                                  quick(TrainedLayers::kLastBlock))
                     .value();
  const double loss = learner->fit(data.rows, data.truth, kClasses + 2).value();
  EXPECT_TRUE(std::isfinite(loss));
  const auto prediction = learner->predict(data.rows).value();
  EXPECT_EQ(prediction.probabilities.cols(), kClasses + 2);
  EXPECT_LT(prediction.probabilities.rightCols(2).maxCoeff(), 1e-30F);
}

TEST(NetLearner, RefusesWhatItCannotUse) {
  const Stripes data(6);
  const auto code = [&](const ModelFolder& model, const ImageSource& source,
                        auto change) {
    NetOptions options = quick(TrainedLayers::kLastBlock);
    change(options);
    const auto made = make_net_learner(model, source, options);
    return made ? ErrorCode::kInternal : made.error().code;
  };
  const auto nothing = [](NetOptions&) {};
  EXPECT_EQ(code(small_model(), {}, nothing), ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      code(small_model(), data.source(), [](NetOptions& o) { o.variants = 7; }),
      ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(small_model(), data.source(),
                 [](NetOptions& o) { o.learning_rate = 0; }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(small_model(), data.source(),
                 [](NetOptions& o) { o.head.cancelled = [] { return true; }; }),
            ErrorCode::kCancelled);
  ModelFolder larger = small_model();
  larger.input_width = 40;
  EXPECT_EQ(code(larger, data.source(), nothing), ErrorCode::kInvalidArgument);
  ModelFolder scripted = small_model();
  scripted.architecture = "torchscript";
  EXPECT_EQ(code(scripted, data.source(), nothing), ErrorCode::kUnsupported);
  ModelFolder without_file = small_model();
  without_file.weights = "/nowhere/weights.safetensors";
  EXPECT_EQ(code(without_file, data.source(), nothing), ErrorCode::kNotFound);
  ModelFolder switched = small_model();
  switched.variant = R"({"depth": 3})";
  EXPECT_EQ(code(switched, data.source(), nothing),
            ErrorCode::kInvalidArgument);
  ModelFolder unknown = small_model();
  unknown.architecture = "resnet51";
  EXPECT_EQ(code(unknown, data.source(), nothing), ErrorCode::kUnsupported);
  const ImageSource broken = {
      3, [](std::size_t) -> Result<Image> { return not_found("gone"); }};
  EXPECT_EQ(code(small_model(), broken, nothing), ErrorCode::kNotFound);

  auto learner = make_net_learner(small_model(), data.source(),
                                  quick(TrainedLayers::kHead))
                     .value();
  EXPECT_EQ(learner->fit({6}, {0}, 2).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(learner->fit({1}, {2}, 2).error().code,
            ErrorCode::kInvalidArgument);
  ASSERT_TRUE(learner->fit({0, 1}, {0, 1}, 2));
  EXPECT_EQ(learner->predict({6}).error().code, ErrorCode::kInvalidArgument);
  const Prediction none = learner->predict({}).value();
  EXPECT_TRUE(none.labels.empty());
  EXPECT_EQ(none.probabilities.cols(), 2);
}

TEST(NetLearner, ItsFeaturesAreThoseOfTheView) {
  SHOAL_REQUIRE_DATA("models/mobilenet_v1_075_192");
  const ModelFolder model = pretrained_model();
  const Stripes data = resized(Stripes(4, 3), model);
  auto learner =
      make_net_learner(model, data.source(), quick(TrainedLayers::kHead))
          .value();
  ASSERT_TRUE(learner->fit(data.rows, data.truth, kClasses));
  const Matrix found = learner->predict(data.rows).value().features;
  const auto view = make_cnn_view(model, {"cpu", "fp32"}).value();
  Matrix expected = view->extract(data.images).value();
  expected.rowwise().normalize();
  EXPECT_LT((found - expected).cwiseAbs().maxCoeff(), 1e-4F);
}

}  // namespace
}  // namespace shoal
