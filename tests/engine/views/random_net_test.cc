#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "engine/views/internal/aten_graph.h"
#include "engine/views/internal/load_net.h"

namespace shoal::internal {
namespace {

ModelFolder formula(const std::string& architecture) {
  ModelFolder model;
  model.architecture = architecture;
  const bool small = architecture == "lenet";
  const bool caffe = architecture == "alexnet_bvlc";
  model.input_width = model.input_height = small ? 32 : caffe ? 227 : 224;
  return model;
}

Graph random_graph(const ModelFolder& model, std::uint64_t seed) {
  const Net net = random_net(model, seed).value();
  return build_graph(sequential({net.trunk, net.feature}),
                     {3, model.input_height, model.input_width})
      .value();
}

std::vector<at::Tensor> values(const Graph& graph) {
  std::vector<at::Tensor> all;
  for (const Parameter& parameter : graph.parameters()) {
    all.push_back(parameter.values);
  }
  return all;
}

TEST(RandomNet, OfEveryFamilyTellsImagesApart) {
  torch::manual_seed(1);
  for (const char* name :
       {"alexnet", "alexnet_bvlc", "densenet121", "efficientnet_b0",
        "googlenet", "googlenet_bvlc", "inception_v3", "lenet", "mobilenet_v1",
        "mobilenet_v2", "resnet18", "resnet50", "squeezenet1_0",
        "squeezenet1_1", "vgg16_bn", "xception"}) {
    const ModelFolder model = formula(name);
    const Graph graph = random_graph(model, 1);
    const c10::InferenceMode inference;
    const auto images =
        torch::randn({2, 3, model.input_height, model.input_width});
    const at::Tensor features = run_graph(graph, images, values(graph));
    ASSERT_TRUE(at::isfinite(features).all().item<bool>()) << name;
    EXPECT_FALSE(at::allclose(features[0], features[1])) << name;
  }
}

TEST(RandomNet, IsTheSameForASeedAndAnotherForAnother) {
  const ModelFolder model = formula("mobilenet_v2");
  const auto first = values(random_graph(model, 1));
  const auto again = values(random_graph(model, 1));
  const auto other = values(random_graph(model, 2));
  ASSERT_EQ(first.size(), again.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(at::equal(first[i], again[i]));
    // Biases are 0 for every seed.
    EXPECT_EQ(at::equal(first[i], other[i]), first[i].dim() == 1);
  }
}

TEST(RandomNet, ItsWeightsVaryByTheirNumberOfInputs) {
  const Graph graph = random_graph(formula("resnet18"), 3);
  for (const auto& [name, weight] : graph.parameters()) {
    if (weight.dim() == 1) continue;
    const auto inputs = static_cast<double>(weight.numel()) /
                        static_cast<double>(weight.size(0));
    EXPECT_NEAR(weight.var().item<double>() * inputs / 2, 1, 0.1) << name;
  }
}

TEST(RandomNet, RefusesWhatLoadNetRefuses) {
  ModelFolder model = formula("resnet51");
  EXPECT_EQ(random_net(model, 1).error().code, ErrorCode::kUnsupported);
  model = formula("lenet");
  model.variant = R"({"depth": 3})";
  EXPECT_EQ(random_net(model, 1).error().code, ErrorCode::kInvalidArgument);
  model.variant = R"({"grey": true})";
  EXPECT_TRUE(random_net(model, 1));
  model.bgr = true;
  EXPECT_EQ(random_net(model, 1).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal::internal
