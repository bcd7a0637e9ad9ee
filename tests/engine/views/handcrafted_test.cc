#include "engine/views/handcrafted.h"

#include <cmath>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "engine/views/safetensors.h"

namespace shoal {
namespace {

Image noise(int side, unsigned seed) {
  std::mt19937 random(seed);
  Image image{side, side, {}};
  for (int i = 0; i < side * side * 3; ++i) {
    image.rgb.push_back(static_cast<std::uint8_t>(random() % 256));
  }
  return image;
}

Image flat(int side, std::array<std::uint8_t, 3> color) {
  Image image{side, side, {}};
  for (int i = 0; i < side * side; ++i) {
    image.rgb.insert(image.rgb.end(), color.begin(), color.end());
  }
  return image;
}

/// A grey wave of `cycles` a pixel along `angle`.
Image wave(int side, double cycles, double angle) {
  Image image{side, side, {}};
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const double along = x * std::cos(angle) + y * std::sin(angle);
      const auto grey = static_cast<std::uint8_t>(
          128 + 100 * std::sin(2 * M_PI * cycles * along));
      image.rgb.insert(image.rgb.end(), 3, grey);
    }
  }
  return image;
}

Matrix features(std::string_view name, const std::vector<Image>& images) {
  const auto view = make_handcrafted_view(name).value();
  return view->extract(images).value();
}

TEST(HandcraftedViews, HaveTheDocumentedSizes) {
  const std::map<std::string_view, std::pair<int, int>> expected = {
      {"rp", {32, 1024}},
      {"gabor", {64, 768}},
      {"hog", {64, 1764}},
      {"color", {64, 256}}};
  EXPECT_EQ(handcrafted_view_names().size(), expected.size());
  for (const std::string_view name : handcrafted_view_names()) {
    SCOPED_TRACE(name);
    const auto view = make_handcrafted_view(name);
    ASSERT_TRUE(view);
    const ViewSpec& spec = view.value()->spec();
    EXPECT_EQ(spec.name, name);
    EXPECT_EQ(spec.input_width, expected.at(name).first);
    EXPECT_EQ(spec.input_height, expected.at(name).first);
    EXPECT_EQ(spec.dim, expected.at(name).second);
    EXPECT_EQ(spec.weights_hash, "none");
    EXPECT_EQ(spec.preprocessing_hash.size(), 16U);
  }
}

TEST(HandcraftedViews, GiveEachImageItsOwnFiniteVectorWhateverTheBatch) {
  for (const std::string_view name : handcrafted_view_names()) {
    SCOPED_TRACE(name);
    const auto view = make_handcrafted_view(name).value();
    const int side = view->spec().input_width;
    const Image a = noise(side, 1);
    const Image b = noise(side, 2);
    const Matrix both = view->extract({a, b}).value();
    EXPECT_TRUE(both.allFinite());
    EXPECT_NE(both.row(0), both.row(1));
    EXPECT_EQ(view->extract({b}).value().row(0), both.row(1));
    EXPECT_EQ(view->extract({b, a}).value().row(1), both.row(0));
    EXPECT_EQ(features(name, {a}).row(0), both.row(0));
    EXPECT_EQ(view->extract({}).value().rows(), 0);
    EXPECT_TRUE(view->extract({flat(side, {0, 0, 0})}).value().allFinite());
  }
}

TEST(HandcraftedViews, UnknownNamesListTheKnownOnes) {
  const auto view = make_handcrafted_view("sift");
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(view.error().message, testing::HasSubstr("gabor"));
}

TEST(RawPixels, AreGreyValuesInUnitRange) {
  EXPECT_TRUE(
      features("rp", {flat(32, {255, 255, 255})}).isApproxToConstant(1.0F));
  EXPECT_TRUE(features("rp", {flat(32, {0, 0, 0})}).isZero());
  const Matrix red = features("rp", {flat(32, {255, 0, 0})});
  EXPECT_NEAR(red.minCoeff(), 0.299, 0.002);
  EXPECT_NEAR(red.maxCoeff(), 0.299, 0.002);
}

/// The filter (scale * 6 + orientation) with the most energy over all cells.
int strongest_gabor_filter(const Image& image) {
  const Matrix values = features("gabor", {image});
  int strongest = 0;
  float most = -1;
  for (int filter = 0; filter < 24; ++filter) {
    float sum = 0;
    for (int cell = 0; cell < 16; ++cell) {
      sum += values(0, (filter * 16 + cell) * 2);
    }
    if (sum > most) {
      most = sum;
      strongest = filter;
    }
  }
  return strongest;
}

TEST(Gabor, AnswersToScaleAndOrientation) {
  const std::array<double, 4> frequencies = {0.05, 0.1, 0.2, 0.4};
  for (int scale = 0; scale < 4; ++scale) {
    for (int orientation = 0; orientation < 6; ++orientation) {
      const Image image = wave(64, frequencies[static_cast<std::size_t>(scale)],
                               M_PI * orientation / 6);
      EXPECT_EQ(strongest_gabor_filter(image), scale * 6 + orientation);
    }
  }
}

TEST(Gabor, SeesNoTextureInAFlatImage) {
  EXPECT_LT(features("gabor", {flat(64, {200, 200, 200})}).maxCoeff(), 1e-5);
}

TEST(Hog, ChangesWithTheDirectionOfEdgesNotWithBrightness) {
  const Matrix horizontal = features("hog", {wave(64, 0.1, 0)});
  const Matrix vertical = features("hog", {wave(64, 0.1, M_PI / 2)});
  EXPECT_GT((horizontal - vertical).norm(), 0.5 * horizontal.norm());
}

TEST(Color, IsAShareOfEachCellSoftlyBinned) {
  const Matrix values = features("color", {noise(64, 3)});
  for (int cell = 0; cell < 4; ++cell) {
    EXPECT_NEAR(values.block(0, cell * 64, 1, 64).squaredNorm(), 1, 1e-4);
  }
  // Neighbouring values give neighbouring vectors: no jump at a bin's edge.
  for (int value = 0; value < 255; ++value) {
    const auto low = static_cast<std::uint8_t>(value);
    const auto high = static_cast<std::uint8_t>(value + 1);
    const Matrix pair =
        features("color", {flat(64, {low, 90, 90}), flat(64, {high, 90, 90})});
    EXPECT_LT((pair.row(0) - pair.row(1)).norm(), 0.5);
  }
}

std::vector<Image> examples(int n) {
  std::vector<Image> images;
  for (int i = 0; i < n; ++i) {
    images.push_back(wave(32 + i % 9, 0.02 + 0.003 * (i % 50), 0.1 * i));
  }
  return images;
}

TEST(RawPixelPca, ProjectsOnTheLargestPrincipalComponents) {
  const std::vector<Image> images = examples(200);
  const auto view = RawPixelPca::fit(images).value();
  EXPECT_EQ(view->spec().name, "rp_pca");
  EXPECT_EQ(view->spec().dim, RawPixelPca::kDim);
  std::vector<Image> sized;
  for (const Image& image : images) {
    sized.push_back(
        resize_image(image, RawPixelPca::kSide, RawPixelPca::kSide));
  }
  const Matrix projected = view->extract(sized).value();
  // Centred, uncorrelated, of falling variance.
  EXPECT_LT(projected.colwise().mean().cwiseAbs().maxCoeff(), 1e-4);
  const Matrix covariance = projected.transpose() * projected / 200;
  for (int i = 0; i < RawPixelPca::kDim; ++i) {
    for (int j = 0; j < i; ++j) {
      EXPECT_NEAR(covariance(i, j), 0, 1e-3 * covariance(0, 0));
    }
    if (i > 0) {
      EXPECT_LE(covariance(i, i), covariance(i - 1, i - 1) * 1.0001);
    }
  }
  // More images than pixels take the other way to the same result.
  Matrix raw = features("rp", sized);
  raw.rowwise() -= raw.colwise().mean().eval();
  EXPECT_GT(projected.squaredNorm(), 0.8 * raw.squaredNorm());
  EXPECT_LE(projected.squaredNorm(), 1.0001 * raw.squaredNorm());
}

TEST(RawPixelPca, BothWaysToTheAxesAgree) {
  // Every image five times: the same axes, but more samples than pixels.
  const std::vector<Image> few = examples(250);
  std::vector<Image> many;
  for (int copy = 0; copy < 5; ++copy) {
    many.insert(many.end(), few.begin(), few.end());
  }
  const Image probe = noise(RawPixelPca::kSide, 4);
  const Matrix a = RawPixelPca::fit(few).value()->extract({probe}).value();
  const Matrix b = RawPixelPca::fit(many).value()->extract({probe}).value();
  EXPECT_LT((a - b).leftCols(20).norm(), 1e-2 * a.norm());
}

TEST(RawPixelPca, ImagesWithoutVarianceGiveZeros) {
  const std::vector<Image> same(130, noise(32, 9));
  const auto view = RawPixelPca::fit(same).value();
  EXPECT_LT(view->extract({same[0]}).value().norm(), 1e-4);
  EXPECT_TRUE(view->extract({noise(32, 10)}).value().allFinite());
}

TEST(RawPixelPca, NeedsTwiceAsManyImagesAsDimensions) {
  const auto view = RawPixelPca::fit(examples(127));
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(RawPixelPca::fit(examples(128)));
}

TEST(RawPixelPca, SavesAndLoadsTheSameView) {
  const auto folder = TemporaryFolder::create("shoal-pca").value();
  const auto file = folder.path() / "pca.safetensors";
  const auto again = folder.path() / "again.safetensors";
  const auto view = RawPixelPca::fit(examples(140)).value();
  ASSERT_TRUE(RawPixelPca::save(*view, file));
  const auto loaded = RawPixelPca::load(file);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded.value()->spec().weights_hash, view->spec().weights_hash);
  EXPECT_EQ(loaded.value()->spec().preprocessing_hash,
            view->spec().preprocessing_hash);
  const Image image = noise(32, 5);
  EXPECT_EQ(loaded.value()->extract({image}).value(),
            view->extract({image}).value());
  ASSERT_TRUE(RawPixelPca::save(*loaded.value(), again));
  EXPECT_EQ(read_file(file, 1 << 24).value(),
            read_file(again, 1 << 24).value());
}

TEST(RawPixelPca, RefusesOtherViewsAndFiles) {
  const auto folder = TemporaryFolder::create("shoal-pca").value();
  const auto file = folder.path() / "pca.safetensors";
  const auto other = make_handcrafted_view("rp").value();
  EXPECT_EQ(RawPixelPca::save(*other, file).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(RawPixelPca::load(file).error().code, ErrorCode::kNotFound);
  const std::vector<float> zeros(64, 0);
  ASSERT_TRUE(write_safetensors(file, {{"mean", {64}, zeros.data()}}, {}));
  EXPECT_EQ(RawPixelPca::load(file).error().code, ErrorCode::kCorruption);
}

}  // namespace
}  // namespace shoal
