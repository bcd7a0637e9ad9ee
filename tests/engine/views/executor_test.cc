// Every kind of node, computed by oneDNN and by LibTorch.

#include "engine/views/internal/executor.h"

#include <fstream>
#include <random>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "engine/views/internal/aten_executor.h"
#include "engine/views/internal/load_net.h"
#include "engine/views/internal/onednn_executor.h"
#include "tests/engine/views/npz.h"
#include "tests/support/data.h"

namespace shoal::internal {
namespace {

constexpr int kWidth = 27;
constexpr int kHeight = 21;

double relative_error(const Matrix& found, const Matrix& expected) {
  if (found.rows() != expected.rows() || found.cols() != expected.cols()) {
    return 1;
  }
  return (found - expected).cwiseAbs().maxCoeff() /
         expected.cwiseAbs().maxCoeff();
}

// Used by the tests below and, with data, of ATen alone.
TEST(AtenExecutor, GivesTheReferenceFeatures) {
  for (const char* name : {"alexnet", "googlenet", "mobilenet_v1_075_192",
                           "mobilenet_v2", "resnet50", "squeezenet1_1"}) {
    const std::string path = std::string("models/") + name;
    SHOAL_REQUIRE_DATA(path);
    const auto folder = test::shared_data() / path;
    const ModelFolder model = read_model_folder(folder).value();
    const Net net = load_net(model).value();
    const Graph graph = build_graph(sequential({net.trunk, net.feature}),
                                    {3, model.input_height, model.input_width})
                            .value();
    const auto executor =
        make_aten_executor(graph, PixelTransform(model), c10::Device(c10::kCPU),
                           Precision::kFloat32);
    auto reference = test::read_npz(folder / "reference.npz");
    const Matrix found =
        executor->run(test::as_images(reference["pixels"])).value();
    EXPECT_LT(relative_error(found, test::as_matrix(reference["features"])),
              1e-4)
        << name;
  }
}

#ifdef SHOAL_ENABLE_ONEDNN

ModelFolder input_formula() {
  ModelFolder model;
  model.input_width = kWidth;
  model.input_height = kHeight;
  model.scale = 1 / 60.0F;
  model.mean = {120, 130, 125};
  model.bgr = true;
  return model;
}

std::vector<Image> random_images(int count) {
  std::mt19937 random(5);
  std::vector<Image> images;
  for (int i = 0; i < count; ++i) {
    Image image{kWidth, kHeight, {}};
    for (int j = 0; j < kWidth * kHeight * 3; ++j) {
      image.rgb.push_back(static_cast<std::uint8_t>(random() % 256));
    }
    images.push_back(std::move(image));
  }
  return images;
}

Layer convolution(const std::string& name, int in, int out,
                  const Graph::ConvolutionShape& shape,
                  Activation activation = Activation::kNone) {
  const int fan = in / shape.groups * shape.kernel_height * shape.kernel_width;
  return [=,
          weight = torch::randn({out, in / shape.groups, shape.kernel_height,
                                 shape.kernel_width}) /
                   std::sqrt(fan),
          bias = torch::randn({out})](Graph& graph, Value x) {
    return graph.convolution(x, name, shape, weight, bias, activation);
  };
}

Layer conv(const std::string& name, int in, int out, int kernel, int stride,
           int padding, int groups = 1,
           Activation activation = Activation::kNone) {
  return convolution(name, in, out,
                     {kernel, kernel, stride, padding, padding, groups},
                     activation);
}

Layer linear(const std::string& name, int in, int out, Activation activation) {
  return [=, weight = torch::randn({out, in}) / std::sqrt(in),
          bias = torch::randn({out})](Graph& graph, Value x) {
    return graph.linear(x, name, weight, bias, activation);
  };
}

Layer scale_shift(const std::string& name, int channels,
                  Activation activation) {
  return [=, scale = torch::rand({channels}) + 0.5,
          shift = torch::randn({channels})](Graph& graph, Value x) {
    return graph.scale_shift(x, name, scale, shift, activation);
  };
}

struct Case {
  std::string name;
  Layer layer;  ///< from a map of 20 channels
};

std::vector<Case> cases() {
  torch::manual_seed(7);
  const auto none = Activation::kNone;
  const auto relu6 = Activation::kRelu6;
  const auto silu = Activation::kSilu;
  std::vector<Case> all = {
      {"convolution", conv("c", 20, 24, 3, 1, 1)},
      {"convolution_stride", conv("c", 20, 17, 3, 2, 1, 1, relu6)},
      {"convolution_same", conv("c", 20, 24, 3, 2, kSamePadding)},
      {"convolution_same_5", conv("c", 20, 8, 5, 4, kSamePadding)},
      {"convolution_groups", conv("c", 20, 30, 3, 1, 1, 2)},
      {"depthwise", conv("c", 20, 20, 3, 1, 1, 20, relu6)},
      {"depthwise_same", conv("c", 20, 20, 5, 2, kSamePadding, 20)},
      {"convolution_1x7", convolution("c", 20, 24, {1, 7, 1, 0, 3, 1}, silu)},
      {"convolution_7x1_same",
       convolution("c", 20, 24, {7, 1, 2, kSamePadding, kSamePadding, 1})},
      {"max_pool", max_pool(3, 2, 1, false)},
      {"max_pool_ceil", max_pool(2, 2, 0, true)},
      {"max_pool_ceil_overhang", max_pool(3, 4, 1, true)},
      {"max_pool_same", max_pool(3, 2, kSamePadding, false)},
      {"average_pool", average_pool(3, 2, 1, true)},
      {"average_pool_uncounted", average_pool(3, 1, 1, false)},
      {"adaptive_7", adaptive_average_pool(7)},
      {"adaptive_6", adaptive_average_pool(6)},
      {"adaptive_larger", adaptive_average_pool(30)},
      {"response_norm", local_response_norm(5, 0.5, 0.75)},
      {"global_average", global_average_pool()},
      {"residual",
       sequential({residual(conv("c", 20, 20, 3, 1, 1), nullptr), relu()})},
      {"residual_projection", sequential({residual(conv("c", 20, 33, 1, 1, 0),
                                                   conv("s", 20, 33, 1, 1, 0)),
                                          activate(silu)})},
      {"residual_of_no_convolution",
       sequential({residual(max_pool(3, 1, 1, false), nullptr), relu()})},
      // The residual's other term is needed again.
      {"residual_kept",
       concatenate({identity(), residual(conv("c", 20, 20, 1, 1, 0), nullptr),
                    conv("d", 20, 4, 1, 1, 0)})},
      {"concatenation",
       concatenate({conv("c", 20, 5, 1, 1, 0), identity(),
                    sequential({max_pool(3, 1, 1, false),
                                conv("d", 20, 16, 3, 1, 1)})})},
      {"squeeze_excitation",
       scale_channels(
           sequential({global_average_map(), conv("r", 20, 6, 1, 1, 0, 1, silu),
                       conv("e", 6, 20, 1, 1, 0, 1, Activation::kSigmoid)}))},
      {"batch_norm", scale_shift("n", 20, none)},
      {"batch_norm_relu", scale_shift("n", 20, Activation::kRelu)},
      {"batch_norm_silu", scale_shift("n", 20, silu)},
      {"activation_not_in_place",
       concatenate({identity(), activate(Activation::kTanh)})},
      {"linear", sequential({max_pool(3, 3, 0, false), flatten(),
                             linear("f", 20 * 7 * 9, 40, relu6),
                             linear("g", 40, 13, none)})},
      {"linear_of_vector",
       sequential({global_average_pool(), linear("f", 20, 9, relu6)})},
  };
  for (const auto activation : {Activation::kRelu, relu6, silu,
                                Activation::kSigmoid, Activation::kTanh}) {
    all.push_back({"activation" + std::to_string(static_cast<int>(activation)),
                   activate(activation)});
  }
  return all;
}

class EveryNode : public testing::TestWithParam<std::size_t> {
 protected:
  EveryNode() {
    const Case tested = cases()[GetParam()];
    graph_ =
        build_graph(
            sequential({conv("stem", 3, 20, 3, 1, 1), tested.layer, flatten()}),
            {3, kHeight, kWidth})
            .value();
    reference_ = make_aten_executor(*graph_, transform_, c10::Device(c10::kCPU),
                                    Precision::kFloat32);
  }

  std::unique_ptr<Executor> make(const OneDnnTypes& types) {
    auto made = make_onednn_executor(fused(*graph_), transform_, types, 2);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(made).value() : nullptr;
  }

  PixelTransform transform_{input_formula()};
  std::optional<Graph> graph_;
  std::unique_ptr<Executor> reference_;
};

TEST_P(EveryNode, EqualsLibTorchInFloat32InEveryBatch) {
  const auto executor = make({});
  ASSERT_NE(executor, nullptr);
  for (const int batch : {1, 3, 13}) {
    const auto images = random_images(batch);
    EXPECT_LT(relative_error(executor->run(images).value(),
                             reference_->run(images).value()),
              2e-6)
        << batch;
  }
}

TEST_P(EveryNode, IsNearLibTorchInBFloat16) {
  if (!onednn_has_bfloat16()) GTEST_SKIP() << "this CPU has no bf16";
  const auto images = random_images(3);
  const Matrix expected = reference_->run(images).value();
  double pure = 0;
  for (const std::size_t float32_layers : {0, 1, 100}) {
    const auto executor = make({true, float32_layers});
    ASSERT_NE(executor, nullptr);
    const double error =
        relative_error(executor->run(images).value(), expected);
    EXPECT_LT(error, float32_layers == 100 ? 2e-6 : 0.03) << float32_layers;
    if (float32_layers == 0) pure = error;
  }
  // Or it was not bfloat16.
  EXPECT_GT(pure, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(OneDnn, EveryNode,
                         testing::Range(std::size_t{0}, cases().size()),
                         [](const auto& index) {
                           return cases()[index.param].name;
                         });

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t pages = 0;
  file >> pages >> pages;
  return pages * 4096;
}

TEST(OneDnnExecutor, NeedsNoMoreMemoryForOtherBatchSizes) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer keeps freed memory, which counts here";
#endif
  ModelFolder model = input_formula();
  model.input_width = 160;
  model.input_height = 160;
  const Layer net =
      sequential({conv("a", 3, 64, 3, 1, 1), conv("b", 64, 64, 3, 1, 1),
                  global_average_pool()});
  const Graph graph = build_graph(net, {3, 160, 160}).value();
  const auto executor =
      make_onednn_executor(fused(graph), PixelTransform(model), {}, 2).value();
  std::vector<Image> images(64);
  for (Image& image : images) {
    image = {160, 160, std::vector<std::uint8_t>(160 * 160 * 3, 100)};
  }
  // One map of one image: what is passed on, and its successor.
  constexpr std::size_t kMap = std::size_t{64} * 160 * 160 * sizeof(float);
  EXPECT_LE(executor->arena_bytes(), 2 * 4 * 2 * kMap + (1U << 20U));
  ASSERT_TRUE(executor->run(images));
  const std::size_t before = resident_bytes();
  for (std::size_t batch = 1; batch < images.size(); batch += 3) {
    ASSERT_TRUE(executor->run(
        {images.begin(), images.begin() + static_cast<int>(batch)}));
  }
  EXPECT_LT(resident_bytes(), before + 2 * kMap);
}

#endif  // SHOAL_ENABLE_ONEDNN

}  // namespace
}  // namespace shoal::internal
