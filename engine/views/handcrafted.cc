#include "engine/views/handcrafted.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <functional>
#include <utility>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>
#include <spdlog/fmt/fmt.h>

#include "common/check.h"
#include "engine/views/internal/mapped_file.h"
#include "engine/views/internal/pixels.h"

namespace shoal {
namespace {

// ---- gabor ----

constexpr int kScales = 4;
constexpr int kOrientations = 6;
constexpr int kGaborSide = 64;
constexpr int kGaborCells = 4;  ///< a side
// The image is mirrored outwards, so that filters do not see its far edge.
constexpr int kGaborBorder = 16;
constexpr int kGaborFrame = kGaborSide + 2 * kGaborBorder;

/// The filters' transfer functions, float32, (frame, frame) each. Design of
/// Manjunath and Ma, "Texture features for browsing and retrieval of image
/// data" (1996), appendix: half-peak contours of neighbours touch between
/// the centre frequencies 0.05 and 0.4 cycles a pixel. A filter covers one
/// half plane, so its output is complex and its magnitude the local energy.
std::vector<cv::Mat> gabor_bank() {
  constexpr double kLow = 0.05;
  constexpr double kHigh = 0.4;
  const double log2 = std::log(2.0);
  const double step = std::pow(kHigh / kLow, 1.0 / (kScales - 1));
  const double sigma_u =
      (step - 1) * kHigh / ((step + 1) * std::sqrt(2 * log2));
  const double sigma_v =
      std::tan(CV_PI / (2 * kOrientations)) *
      (kHigh - 2 * log2 * sigma_u * sigma_u / kHigh) /
      std::sqrt(2 * log2 - std::pow(2 * log2 * sigma_u / kHigh, 2));
  std::vector<cv::Mat> bank;
  for (int scale = 0; scale < kScales; ++scale) {
    const double shrink = std::pow(step, scale - (kScales - 1));
    for (int orientation = 0; orientation < kOrientations; ++orientation) {
      const double angle = CV_PI * orientation / kOrientations;
      cv::Mat filter(kGaborFrame, kGaborFrame, CV_32F);
      for (int row = 0; row < kGaborFrame; ++row) {
        for (int column = 0; column < kGaborFrame; ++column) {
          const auto frequency = [](int index) {
            const int wrapped =
                index < kGaborFrame / 2 ? index : index - kGaborFrame;
            return static_cast<double>(wrapped) / kGaborFrame;
          };
          const double x = frequency(column);
          const double y = frequency(row);
          const double u = x * std::cos(angle) + y * std::sin(angle);
          const double v = y * std::cos(angle) - x * std::sin(angle);
          const double du = (u - kHigh * shrink) / (sigma_u * shrink);
          const double dv = v / (sigma_v * shrink);
          filter.at<float>(row, column) =
              static_cast<float>(std::exp(-0.5 * (du * du + dv * dv)));
        }
      }
      // Mean brightness is no texture.
      filter.at<float>(0, 0) = 0;
      bank.push_back(filter);
    }
  }
  return bank;
}

/// @return (scales * orientations * cells * 2): for every filter and cell the
/// mean and the standard deviation of the magnitude
void gabor(const std::vector<cv::Mat>& bank, const Image& image, float* out) {
  cv::Mat frame;
  cv::copyMakeBorder(internal::grey_float(image), frame, kGaborBorder,
                     kGaborBorder, kGaborBorder, kGaborBorder,
                     cv::BORDER_REFLECT);
  cv::Mat spectrum;
  cv::dft(frame, spectrum, cv::DFT_COMPLEX_OUTPUT);
  constexpr int kCell = kGaborSide / kGaborCells;
  cv::Mat product(spectrum.size(), CV_32FC2);
  cv::Mat response;
  for (const cv::Mat& filter : bank) {
    for (int row = 0; row < kGaborFrame; ++row) {
      const auto* from = spectrum.ptr<std::complex<float>>(row);
      const auto* gain = filter.ptr<float>(row);
      auto* to = product.ptr<std::complex<float>>(row);
      for (int column = 0; column < kGaborFrame; ++column) {
        to[column] = from[column] * gain[column];
      }
    }
    cv::dft(product, response, cv::DFT_INVERSE | cv::DFT_SCALE);
    for (int cell = 0; cell < kGaborCells * kGaborCells; ++cell) {
      const int top = kGaborBorder + cell / kGaborCells * kCell;
      const int left = kGaborBorder + cell % kGaborCells * kCell;
      double sum = 0;
      double squares = 0;
      for (int row = top; row < top + kCell; ++row) {
        const auto* values = response.ptr<std::complex<float>>(row);
        for (int column = left; column < left + kCell; ++column) {
          const double energy = std::norm(values[column]);
          sum += std::sqrt(energy);
          squares += energy;
        }
      }
      const double mean = sum / (kCell * kCell);
      const double variance = squares / (kCell * kCell) - mean * mean;
      *out++ = static_cast<float>(mean);
      *out++ = static_cast<float>(std::sqrt(std::max(variance, 0.0)));
    }
  }
}

// ---- hog ----

constexpr int kHogSide = 64;

cv::HOGDescriptor hog_descriptor() {
  return {cv::Size(kHogSide, kHogSide), cv::Size(16, 16), cv::Size(8, 8),
          cv::Size(8, 8), 9};
}

// ---- color ----

constexpr int kColorSide = 64;
constexpr int kColorCells = 2;  ///< a side
constexpr int kColorBins = 4;   ///< a channel
constexpr int kColorCellDim = kColorBins * kColorBins * kColorBins;

/// @return (cells * bins^3): square roots of each cell's shares, so that
/// Euclidean distances are Hellinger distances
void color(const Image& image, float* out) {
  std::fill_n(out, kColorCells * kColorCells * kColorCellDim, 0.0F);
  const std::uint8_t* pixel = image.rgb.data();
  constexpr int kCell = kColorSide / kColorCells;
  for (int y = 0; y < kColorSide; ++y) {
    for (int x = 0; x < kColorSide; ++x, pixel += 3) {
      float* histogram =
          out + (y / kCell * kColorCells + x / kCell) * kColorCellDim;
      // A value's weight is shared between the two nearest bin centres.
      std::array<int, 3> low{};
      std::array<float, 3> above{};
      for (std::size_t channel = 0; channel < 3; ++channel) {
        const float place =
            static_cast<float>(pixel[channel]) * (kColorBins - 1) / 255;
        low[channel] = std::min(static_cast<int>(place), kColorBins - 2);
        above[channel] = place - static_cast<float>(low[channel]);
      }
      for (int corner = 0; corner < 8; ++corner) {
        int bin = 0;
        float weight = 1;
        for (std::size_t channel = 0; channel < 3; ++channel) {
          const int high = corner >> channel & 1;
          bin = bin * kColorBins + low[channel] + high;
          weight *= high != 0 ? above[channel] : 1 - above[channel];
        }
        histogram[bin] += weight;
      }
    }
  }
  constexpr float kPixelsPerCell = kCell * kCell;
  for (int i = 0; i < kColorCells * kColorCells * kColorCellDim; ++i) {
    out[i] = std::sqrt(out[i] / kPixelsPerCell);
  }
}

// ---- all ----

/// Fills `spec.dim` values from one image of the spec's size.
using Recipe = std::function<void(const Image& image, float* out)>;

class HandcraftedView final : public View {
 public:
  /// `text` describes the recipe: another text is another view version.
  HandcraftedView(std::string_view name, int side, int dim,
                  std::string_view text, Recipe recipe)
      : recipe_(std::move(recipe)) {
    spec_.name = name;
    spec_.dim = dim;
    spec_.input_width = side;
    spec_.input_height = side;
    spec_.weights_hash = "none";
    spec_.preprocessing_hash = internal::version_hash(fmt::format(
        "{}; {} x {}; {}; {}", name, side, side, text, kPixelRecipe));
  }

  [[nodiscard]] const ViewSpec& spec() const override { return spec_; }

  [[nodiscard]] Result<Matrix> extract(
      const std::vector<Image>& images) override {
    Matrix features(static_cast<Eigen::Index>(images.size()), spec_.dim);
    try {
      for (std::size_t i = 0; i < images.size(); ++i) {
        SHOAL_CHECK(images[i].width == spec_.input_width &&
                        images[i].height == spec_.input_height,
                    "images come at the view's input size");
        recipe_(images[i], features.row(static_cast<Eigen::Index>(i)).data());
      }
    } catch (const cv::Exception& error) {
      return internal_error("view " + spec_.name + ": " + error.err);
    }
    return features;
  }

 private:
  ViewSpec spec_;
  Recipe recipe_;
};

std::unique_ptr<View> make_rp() {
  return std::make_unique<HandcraftedView>(
      "rp", internal::kRawSide, internal::kRawDim, "1; BT.601 grey / 255",
      internal::raw_pixels);
}

std::unique_ptr<View> make_gabor() {
  return std::make_unique<HandcraftedView>(
      "gabor", kGaborSide,
      kScales * kOrientations * kGaborCells * kGaborCells * 2,
      "1; BT.601 grey / 255; border 16 reflected; 4 scales 0.05..0.4, 6 "
      "orientations; mean and deviation of the magnitude in 4 x 4 cells",
      [bank = gabor_bank()](const Image& image, float* out) {
        gabor(bank, image, out);
      });
}

std::unique_ptr<View> make_hog() {
  const cv::HOGDescriptor descriptor = hog_descriptor();
  return std::make_unique<HandcraftedView>(
      "hog", kHogSide, static_cast<int>(descriptor.getDescriptorSize()),
      "1; OpenCV HOGDescriptor on RGB; block 16, stride 8, cell 8, 9 bins",
      [descriptor](const Image& image, float* out) {
        std::vector<float> values;
        descriptor.compute(internal::rgb_mat(image), values);
        std::copy(values.begin(), values.end(), out);
      });
}

std::unique_ptr<View> make_color() {
  return std::make_unique<HandcraftedView>(
      "color", kColorSide, kColorCells * kColorCells * kColorCellDim,
      "1; RGB, 4 bins a channel, trilinear; 2 x 2 cells; square root of "
      "shares",
      color);
}

struct Entry {
  std::string_view name;
  std::unique_ptr<View> (*make)();
};
constexpr std::array kEntries = {
    Entry{"rp", make_rp}, Entry{"gabor", make_gabor}, Entry{"hog", make_hog},
    Entry{"color", make_color}};

}  // namespace

Result<std::unique_ptr<View>> make_handcrafted_view(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.make();
  }
  return not_found(fmt::format("no handcrafted view {}; there are {}", name,
                               fmt::join(handcrafted_view_names(), ", ")));
}

std::vector<std::string_view> handcrafted_view_names() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kEntries) names.push_back(entry.name);
  return names;
}

}  // namespace shoal
