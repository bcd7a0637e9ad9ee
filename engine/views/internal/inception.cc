#include <string>
#include <string_view>
#include <vector>

#include "engine/views/internal/architectures.h"

// Szegedy et al. 2015 (arXiv:1512.00567), table 1; torchvision's names.

namespace shoal::internal {
namespace {

/// Makes a block's convolutions. Borrows the builder.
class Block {
 public:
  Block(NetBuilder& builder, std::string_view name)
      : builder_(builder), prefix_(std::string(name) + ".") {}

  [[nodiscard]] Layer conv(const std::string& name, int in, int out,
                           int kernel = 1, int stride = 1,
                           int padding = 0) const {
    return builder_.conv(spec(name, in, out, kernel, stride, padding));
  }

  /// 1 x `width`, the image's size kept.
  [[nodiscard]] Layer row(const std::string& name, int in, int out,
                          int width) const {
    Conv row = spec(name, in, out, 1, 1, 0);
    row.kernel_width = width;
    row.padding_width = width / 2;
    return builder_.conv(row);
  }

  /// `height` x 1, the image's size kept.
  [[nodiscard]] Layer column(const std::string& name, int in, int out,
                             int height) const {
    Conv column = spec(name, in, out, height, 1, height / 2);
    column.kernel_width = 1;
    return builder_.conv(column);
  }

 private:
  [[nodiscard]] Conv spec(const std::string& name, int in, int out, int kernel,
                          int stride, int padding) const {
    const std::string full = prefix_ + name;
    return {full + ".conv", full + ".bn", in, out, kernel, stride, padding};
  }

  NetBuilder& builder_;
  std::string prefix_;
};

/// Figure 5, with two 3 x 3 in one branch only.
/// @param pool  the average pool of the last branch, here and below
Layer block_a(const Block& b, int in, int pooled, const Layer& pool) {
  return concatenate({b.conv("branch1x1", in, 64),
                      sequential({b.conv("branch5x5_1", in, 48),
                                  b.conv("branch5x5_2", 48, 64, 5, 1, 2)}),
                      sequential({b.conv("branch3x3dbl_1", in, 64),
                                  b.conv("branch3x3dbl_2", 64, 96, 3, 1, 1),
                                  b.conv("branch3x3dbl_3", 96, 96, 3, 1, 1)}),
                      sequential({pool, b.conv("branch_pool", in, pooled)})});
}

/// Figure 10: halves the sides.
Layer block_b(const Block& b, int in) {
  return concatenate({b.conv("branch3x3", in, 384, 3, 2),
                      sequential({b.conv("branch3x3dbl_1", in, 64),
                                  b.conv("branch3x3dbl_2", 64, 96, 3, 1, 1),
                                  b.conv("branch3x3dbl_3", 96, 96, 3, 2)}),
                      max_pool(3, 2, 0, false)});
}

/// Figure 6 with n = 7 and `width` channels inside.
Layer block_c(const Block& b, int in, int width, const Layer& pool) {
  return concatenate({b.conv("branch1x1", in, 192),
                      sequential({b.conv("branch7x7_1", in, width),
                                  b.row("branch7x7_2", width, width, 7),
                                  b.column("branch7x7_3", width, 192, 7)}),
                      sequential({b.conv("branch7x7dbl_1", in, width),
                                  b.column("branch7x7dbl_2", width, width, 7),
                                  b.row("branch7x7dbl_3", width, width, 7),
                                  b.column("branch7x7dbl_4", width, width, 7),
                                  b.row("branch7x7dbl_5", width, 192, 7)}),
                      sequential({pool, b.conv("branch_pool", in, 192)})});
}

/// Halves the sides.
Layer block_d(const Block& b, int in) {
  return concatenate({sequential({b.conv("branch3x3_1", in, 192),
                                  b.conv("branch3x3_2", 192, 320, 3, 2)}),
                      sequential({b.conv("branch7x7x3_1", in, 192),
                                  b.row("branch7x7x3_2", 192, 192, 7),
                                  b.column("branch7x7x3_3", 192, 192, 7),
                                  b.conv("branch7x7x3_4", 192, 192, 3, 2)}),
                      max_pool(3, 2, 0, false)});
}

/// Figure 7.
Layer block_e(const Block& b, int in, const Layer& pool) {
  return concatenate(
      {b.conv("branch1x1", in, 320),
       sequential({b.conv("branch3x3_1", in, 384),
                   concatenate({b.row("branch3x3_2a", 384, 384, 3),
                                b.column("branch3x3_2b", 384, 384, 3)})}),
       sequential({b.conv("branch3x3dbl_1", in, 448),
                   b.conv("branch3x3dbl_2", 448, 384, 3, 1, 1),
                   concatenate({b.row("branch3x3dbl_3a", 384, 384, 3),
                                b.column("branch3x3dbl_3b", 384, 384, 3)})}),
       sequential({pool, b.conv("branch_pool", in, 192)})});
}

}  // namespace

Net build_inception_v3(NetBuilder& builder, ObjectReader& variant) {
  constexpr int kDim = 2048;
  const int classes = read_classes(variant, 1000);
  const Layer pool =
      average_pool(3, 1, 1, variant.boolean("count_padding", true));
  builder.ignore("AuxLogits.");

  const auto stem = [&](const std::string& name, int in, int out, int kernel,
                        int stride, int padding) {
    return builder.conv(
        {name + ".conv", name + ".bn", in, out, kernel, stride, padding});
  };
  const auto block = [&](std::string_view name) {
    return Block(builder, name);
  };
  const Layer trunk = sequential({
      stem("Conv2d_1a_3x3", 3, 32, 3, 2, 0),
      stem("Conv2d_2a_3x3", 32, 32, 3, 1, 0),
      stem("Conv2d_2b_3x3", 32, 64, 3, 1, 1),
      max_pool(3, 2, 0, false),
      stem("Conv2d_3b_1x1", 64, 80, 1, 1, 0),
      stem("Conv2d_4a_3x3", 80, 192, 3, 1, 0),
      max_pool(3, 2, 0, false),
      block_a(block("Mixed_5b"), 192, 32, pool),
      block_a(block("Mixed_5c"), 256, 64, pool),
      block_a(block("Mixed_5d"), 288, 64, pool),
      block_b(block("Mixed_6a"), 288),
      block_c(block("Mixed_6b"), 768, 128, pool),
      block_c(block("Mixed_6c"), 768, 160, pool),
      block_c(block("Mixed_6d"), 768, 160, pool),
      block_c(block("Mixed_6e"), 768, 192, pool),
      block_d(block("Mixed_7a"), 768),
      block_e(block("Mixed_7b"), 1280, pool),
      block_e(block("Mixed_7c"), 2048, pool),
  });
  return pooled_net(builder, trunk, "fc", kDim, classes);
}

}  // namespace shoal::internal
