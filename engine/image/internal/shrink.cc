#include "engine/image/internal/shrink.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <opencv2/core/hal/intrin.hpp>

#include "common/check.h"

namespace shoal::internal {
namespace {

/// A pixel is four lanes, of which the last is not used, so that it is one
/// vector.
constexpr std::size_t kLanes = 4;
constexpr std::size_t kChannels = 3;

/// The cells of a line that one cell of a coarser line covers.
struct Cover {
  std::size_t first = 0;
  std::vector<float> shares;  ///< of each cell from `first` on; sum 1
};

/// Of a line of `to` cells laid over one of `from` >= `to`, cell by cell.
std::vector<Cover> cover_line(int from, int to) {
  std::vector<Cover> covers(static_cast<std::size_t>(to));
  for (std::int64_t i = 0; i < to; ++i) {
    // In units of 1 / to of a cell, in which every border is whole.
    const std::int64_t begin = i * from;
    const std::int64_t end = begin + from;
    Cover& cover = covers[static_cast<std::size_t>(i)];
    cover.first = static_cast<std::size_t>(begin / to);
    for (std::int64_t cell = begin / to; cell * to < end; ++cell) {
      const std::int64_t inside =
          std::min(end, (cell + 1) * to) - std::max(begin, cell * to);
      cover.shares.push_back(static_cast<float>(inside) /
                             static_cast<float>(from));
    }
  }
  return covers;
}

/// The pixel's channels, and a byte more. OpenCV's own loading of four bytes
/// takes only aligned ones.
cv::v_float32x4 load_pixel(const std::uint8_t* pixel) {
  alignas(kLanes) std::array<std::uint8_t, kLanes> bytes;
  std::memcpy(bytes.data(), pixel, kLanes);
  return cv::v_cvt_f32(
      cv::v_reinterpret_as_s32(cv::v_load_expand_q(bytes.data())));
}

/// Averages along a row; `row` can be read one byte past its last pixel.
void shrink_row(const std::uint8_t* row, const std::vector<Cover>& columns,
                float* out) {
  for (const Cover& cover : columns) {
    const std::uint8_t* pixel = row + cover.first * kChannels;
    cv::v_float32x4 sum = cv::v_setzero_f32();
    for (const float share : cover.shares) {
      sum = cv::v_muladd(load_pixel(pixel), cv::v_setall_f32(share), sum);
      pixel += kChannels;
    }
    cv::v_store(out, sum);
    out += kLanes;
  }
}

void add_scaled(const std::vector<float>& row, float share,
                std::vector<float>& sum) {
  const auto factor = cv::v_setall_f32(share);
  for (std::size_t i = 0; i < row.size(); i += kLanes) {
    cv::v_store(&sum[i],
                cv::v_muladd(cv::v_load(&row[i]), factor, cv::v_load(&sum[i])));
  }
}

void write_row(const std::vector<float>& sum, std::uint8_t* out) {
  std::array<int, kLanes> pixel{};
  for (std::size_t i = 0; i < sum.size(); i += kLanes) {
    cv::v_store(pixel.data(), cv::v_round(cv::v_load(&sum[i])));
    for (std::size_t c = 0; c < kChannels; ++c) {
      *out++ = static_cast<std::uint8_t>(pixel[c]);
    }
  }
}

/// The rows of an image, each shrunk once as it is asked for. Vectors of four
/// lanes read a byte past a pixel: the very last row is read from a copy.
class ShrunkRows {
 public:
  ShrunkRows(const Image& image, int width)
      : image_(image),
        columns_(cover_line(image.width, width)),
        last_row_(stride() + 1),
        row_(static_cast<std::size_t>(width) * kLanes) {
    std::copy(image.rgb.end() - static_cast<std::ptrdiff_t>(stride()),
              image.rgb.end(), last_row_.begin());
  }

  /// Valid until the next call.
  const std::vector<float>& at(std::size_t y) {
    if (y != current_) {
      const bool last = y + 1 == static_cast<std::size_t>(image_.height);
      shrink_row(last ? last_row_.data() : &image_.rgb[y * stride()], columns_,
                 row_.data());
      current_ = y;
    }
    return row_;
  }

 private:
  [[nodiscard]] std::size_t stride() const {
    return static_cast<std::size_t>(image_.width) * kChannels;
  }

  const Image& image_;
  const std::vector<Cover> columns_;
  std::vector<std::uint8_t> last_row_;
  std::vector<float> row_;
  std::size_t current_ = SIZE_MAX;
};

}  // namespace

Image shrink(const Image& image, int width, int height) {
  SHOAL_CHECK(
      width > 0 && width <= image.width && height > 0 && height <= image.height,
      "shrinking makes no side larger");
  Image shrunk;
  shrunk.width = width;
  shrunk.height = height;
  const std::size_t stride = static_cast<std::size_t>(width) * kChannels;
  shrunk.rgb.resize(stride * static_cast<std::size_t>(height));
  ShrunkRows rows(image, width);
  std::vector<float> sum(static_cast<std::size_t>(width) * kLanes);
  std::uint8_t* out = shrunk.rgb.data();
  for (const Cover& cover : cover_line(image.height, height)) {
    std::fill(sum.begin(), sum.end(), 0.0F);
    for (std::size_t i = 0; i < cover.shares.size(); ++i) {
      add_scaled(rows.at(cover.first + i), cover.shares[i], sum);
    }
    write_row(sum, out);
    out += stride;
  }
  return shrunk;
}

}  // namespace shoal::internal
