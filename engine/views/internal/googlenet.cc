#include <array>
#include <string>
#include <vector>

#include "engine/views/internal/architectures.h"

// Szegedy et al. 2014 (arXiv:1409.4842), table 1.

namespace shoal::internal {
namespace {

struct Inception {
  std::string_view name;
  int in;
  int out1;     ///< 1 x 1
  int reduce3;  ///< 1 x 1 before 3 x 3
  int out3;     ///< 3 x 3
  int reduce5;  ///< 1 x 1 before 5 x 5
  int out5;     ///< 5 x 5
  int pooled;   ///< 1 x 1 after the pool
};

constexpr std::array kInceptions = {
    Inception{"3a", 192, 64, 96, 128, 16, 32, 32},
    Inception{"3b", 256, 128, 128, 192, 32, 96, 64},
    Inception{"4a", 480, 192, 96, 208, 16, 48, 64},
    Inception{"4b", 512, 160, 112, 224, 24, 64, 64},
    Inception{"4c", 512, 128, 128, 256, 24, 64, 64},
    Inception{"4d", 512, 112, 144, 288, 32, 64, 64},
    Inception{"4e", 528, 256, 160, 320, 32, 128, 128},
    Inception{"5a", 832, 256, 160, 320, 32, 128, 128},
    Inception{"5b", 832, 384, 192, 384, 48, 128, 128},
};
constexpr int kDim = 1024;

/// Makes a convolution from our short name of it and its size.
using MakeConv =
    std::function<Layer(const std::string& name, int in, int out, int kernel)>;

/// The nine blocks with the pools between them, from `make(block, branch...)`.
/// @param kernel5  side of the "5 x 5" convolution
/// @param pool4    the pool after block 4e
std::vector<Layer> inceptions(const MakeConv& make, int kernel5,
                              const Layer& pool4) {
  std::vector<Layer> layers;
  for (const Inception& b : kInceptions) {
    const std::string prefix = std::string(b.name) + ".";
    layers.push_back(concatenate(
        {make(prefix + "b1", b.in, b.out1, 1),
         sequential({make(prefix + "b3r", b.in, b.reduce3, 1),
                     make(prefix + "b3", b.reduce3, b.out3, 3)}),
         sequential({make(prefix + "b5r", b.in, b.reduce5, 1),
                     make(prefix + "b5", b.reduce5, b.out5, kernel5)}),
         sequential({max_pool(3, 1, 1, true),
                     make(prefix + "pp", b.in, b.pooled, 1)})}));
    if (b.name == "3b") layers.push_back(max_pool(3, 2, 0, true));
    if (b.name == "4e") layers.push_back(pool4);
  }
  return layers;
}

}  // namespace

// torchvision's layout: batch norm, 3 x 3 in place of 5 x 5, a 2 x 2 pool.
Net build_googlenet(NetBuilder& builder, ObjectReader& variant) {
  const int classes = read_classes(variant, 1000);
  const auto basic = [&](const std::string& name, int in, int out, int kernel,
                         int stride) {
    return builder.conv(
        {name + ".conv", name + ".bn", in, out, kernel, stride, kernel / 2});
  };
  const MakeConv make = [&](const std::string& name, int in, int out,
                            int kernel) {
    struct Branch {
      std::string_view ours;
      std::string_view theirs;
    };
    constexpr std::array kBranches = {
        Branch{"b1", "branch1"},   Branch{"b3r", "branch2.0"},
        Branch{"b3", "branch2.1"}, Branch{"b5r", "branch3.0"},
        Branch{"b5", "branch3.1"}, Branch{"pp", "branch4.1"}};
    std::string full = "inception" + name.substr(0, 3);
    for (const Branch& branch : kBranches) {
      if (name.substr(3) == branch.ours) full += branch.theirs;
    }
    return basic(full, in, out, kernel, 1);
  };
  std::vector<Layer> layers = {
      basic("conv1", 3, 64, 7, 2),  max_pool(3, 2, 0, true),
      basic("conv2", 64, 64, 1, 1), basic("conv3", 64, 192, 3, 1),
      max_pool(3, 2, 0, true),
  };
  for (Layer& layer : inceptions(make, 3, max_pool(2, 2, 0, true))) {
    layers.push_back(std::move(layer));
  }
  builder.ignore("aux1.");
  builder.ignore("aux2.");
  return pooled_net(builder, sequential(layers), "fc", kDim, classes);
}

// The BVLC release: local response norm, no batch norm; our own names.
Net build_googlenet_bvlc(NetBuilder& builder, ObjectReader& variant) {
  const int classes = read_classes(variant, 1000);
  if (!variant.boolean("lrn", true)) {
    variant.fail("lrn", "false", "true: the architecture has it");
  }
  variant.choice("pooling", {"ceil"});
  const auto conv = [&](const std::string& name, int in, int out, int kernel,
                        int stride) {
    return builder.conv(
        {name, name + "_bn", in, out, kernel, stride, kernel / 2});
  };
  const MakeConv make = [&](const std::string& name, int in, int out,
                            int kernel) {
    return conv("inc" + name, in, out, kernel, 1);
  };
  const Layer pool = max_pool(3, 2, 0, true);
  const Layer norm = local_response_norm(5, 1e-4, 0.75);
  std::vector<Layer> layers = {
      conv("conv1", 3, 64, 7, 2),   pool, norm, conv("conv2r", 64, 64, 1, 1),
      conv("conv2", 64, 192, 3, 1), norm, pool};
  for (Layer& layer : inceptions(make, 5, pool)) {
    layers.push_back(std::move(layer));
  }
  return pooled_net(builder, sequential(layers), "fc", kDim, classes);
}

}  // namespace shoal::internal
