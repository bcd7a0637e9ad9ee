#include "engine/views/internal/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "engine/views/internal/aten_graph.h"

namespace shoal::internal {
namespace {

using testing::HasSubstr;

constexpr Shape kInput = {3, 9, 11};

/// A convolution with random weights.
Layer conv(const std::string& name, int in, int out, int kernel,
           Activation activation, int padding = 0) {
  Graph::ConvolutionShape shape;
  shape.kernel_height = shape.kernel_width = kernel;
  shape.padding_height = shape.padding_width = padding;
  return [=, weight = torch::randn({out, in, kernel, kernel}),
          bias = torch::randn({out})](Graph& graph, Value x) {
    return graph.convolution(x, name, shape, weight, bias, activation);
  };
}

std::string fault(const Layer& layer) {
  const auto graph = build_graph(layer, kInput);
  return graph ? "none" : graph.error().message;
}

std::vector<at::Tensor> values(const Graph& graph) {
  std::vector<at::Tensor> all;
  for (const Parameter& parameter : graph.parameters()) {
    all.push_back(parameter.values);
  }
  return all;
}

TEST(Graph, NamesTheLayerThatDoesNotFitItsInput) {
  const auto relu = Activation::kRelu;
  EXPECT_THAT(
      fault(sequential({conv("a", 3, 4, 3, relu), conv("b", 5, 4, 1, relu)})),
      HasSubstr("layer b: its input has shape 4 x 7 x 9; expected 5 channels"));
  EXPECT_THAT(fault(conv("wide", 3, 4, 10, relu)),
              HasSubstr("layer wide: a kernel of 10 x 10 does not fit"));
  EXPECT_THAT(
      fault(sequential({conv("a", 3, 4, 3, relu), max_pool(8, 2, 0, true)})),
      HasSubstr("layer max pool after a: a window of 8 x 8 does not "
                "fit its input of 4 x 7 x 9"));
  EXPECT_THAT(fault(sequential({flatten(), max_pool(2, 2, 0, false)})),
              HasSubstr("its input has shape 297; expected a map"));
  EXPECT_THAT(fault(residual(conv("a", 3, 4, 1, relu), nullptr)),
              HasSubstr("shapes 4 x 9 x 11 and 3 x 9 x 11"));
  EXPECT_THAT(fault(concatenate({identity(), conv("a", 3, 4, 3, relu)})),
              HasSubstr("expected the same sides"));
  EXPECT_THAT(fault(scale_channels(identity())),
              HasSubstr("its factors have shape 3 x 9 x 11; expected 3 x 1"));
  EXPECT_THAT(fault(local_response_norm(4, 1, 1)), HasSubstr("odd number"));
  EXPECT_THAT(fault(conv("a", 3, 4, 3, relu)), HasSubstr("expected a vector"));
  EXPECT_THAT(fault([](Graph& graph, Value x) {
                return graph.linear(graph.flatten(x), "fc",
                                    torch::zeros({2, 296}), torch::zeros({2}),
                                    Activation::kNone);
              }),
              HasSubstr("layer fc: its input has shape 297; expected 296"));
}

TEST(Graph, KeepsTheFirstFault) {
  const auto none = Activation::kNone;
  EXPECT_THAT(fault(sequential({conv("first", 2, 4, 3, none),
                                conv("second", 9, 4, 3, none), flatten()})),
              HasSubstr("layer first"));
}

TEST(Graph, FusesSumsAndActivationsOfAResidualBlock) {
  const Layer block =
      sequential({residual(sequential({conv("a", 3, 8, 3, Activation::kRelu, 1),
                                       conv("b", 8, 3, 1, Activation::kNone)}),
                           nullptr),
                  relu(), flatten()});
  const Graph graph = build_graph(block, kInput).value();
  const Graph small = fused(graph);
  EXPECT_EQ(graph.nodes().size(), 6U);  // input, a, b, sum, relu, flatten
  ASSERT_EQ(small.nodes().size(), 4U);  // input, a, b, flatten
  EXPECT_EQ(small.nodes()[2].inputs, (std::vector<Value>{1, 0}));
  EXPECT_EQ(small.nodes()[2].activation, Activation::kRelu);
  const at::Tensor input = torch::randn({2, 3, 9, 11});
  EXPECT_TRUE(torch::allclose(run_graph(small, input, values(small)),
                              run_graph(graph, input, values(graph)), 1e-5,
                              1e-5));
}

TEST(Graph, DoesNotFuseWhatIsNeededTwice) {
  // The first activation may not go into `a`, which is also joined as it is.
  const Layer net = sequential({conv("a", 3, 4, 1, Activation::kNone),
                                concatenate({identity(), relu()}), flatten()});
  const Graph graph = build_graph(net, kInput).value();
  const Graph small = fused(graph);
  EXPECT_EQ(small.nodes().size(), graph.nodes().size());
  const at::Tensor input = torch::randn({2, 3, 9, 11});
  EXPECT_TRUE(torch::equal(run_graph(small, input, values(small)),
                           run_graph(graph, input, values(graph))));
}

TEST(Graph, ItsPartsOneAfterTheOtherAreTheWhole) {
  torch::manual_seed(4);
  const Layer block =
      residual(sequential({conv("b", 4, 4, 3, Activation::kRelu, 1),
                           conv("c", 4, 4, 1, Activation::kNone)}),
               nullptr);
  const Graph graph =
      build_graph(sequential({conv("a", 3, 4, 3, Activation::kRelu), block,
                              global_average_pool()}),
                  kInput)
          .value();
  const auto x = torch::randn({2, 3, 9, 11});
  const at::Tensor whole = run_graph(graph, x, values(graph));
  constexpr Value kFirstConvolution = 1;
  const at::Tensor front =
      run_graph(graph, graph.input(), x, kFirstConvolution, values(graph));
  EXPECT_EQ(front.sizes(), (std::vector<std::int64_t>{2, 4, 7, 9}));
  EXPECT_TRUE(at::equal(
      run_graph(graph, kFirstConvolution, front, graph.output(), values(graph)),
      whole));
  EXPECT_TRUE(at::equal(
      run_graph(graph, graph.output(), whole, graph.output(), values(graph)),
      whole));
}

TEST(Graph, CanBeTrained) {
  const Layer net =
      sequential({residual(conv("a", 3, 3, 3, Activation::kRelu6, 1), nullptr),
                  relu(), global_average_pool()});
  const Graph graph = build_graph(net, kInput).value();
  std::vector<at::Tensor> parameters;
  for (const Parameter& parameter : graph.parameters()) {
    parameters.push_back(parameter.values.clone().requires_grad_(true));
  }
  const at::Tensor input = torch::randn({2, 3, 9, 11});
  const at::Tensor before = input.clone();
  run_graph(graph, input, parameters).square().sum().backward();
  EXPECT_TRUE(torch::equal(input, before));
  for (const at::Tensor& parameter : parameters) {
    EXPECT_GT(parameter.grad().abs().sum().item<float>(), 0);
  }
}

}  // namespace
}  // namespace shoal::internal
