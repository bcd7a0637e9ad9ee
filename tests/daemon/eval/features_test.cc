#include "daemon/eval/features.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "daemon/eval/csv.h"
#include "daemon/eval/npy.h"
#include "engine/views/extractor.h"
#include "engine/views/handcrafted.h"
#include "tests/daemon/eval/dataset_files.h"

namespace shoal::eval {
namespace {

using test::jpeg_of;
using test::put_file;
using testing::ElementsAre;
using testing::HasSubstr;

/// What the fake views were asked for.
struct Calls {
  int made = 0;
  int images = 0;
  std::atomic<bool> stop{false};
  int stop_after = 1'000'000;  ///< images
};

/// Mean grey of an image, times two values.
class FakeView final : public View {
 public:
  FakeView(const std::string& name, const std::string& hash, Calls& calls)
      : calls_(calls) {
    spec_.name = name;
    spec_.dim = 2;
    spec_.input_width = 8;
    spec_.input_height = 8;
    spec_.weights_hash = hash;
    spec_.preprocessing_hash = "p";
  }
  [[nodiscard]] const ViewSpec& spec() const override { return spec_; }
  Result<Matrix> extract(const std::vector<Image>& images) override {
    Matrix values(static_cast<Eigen::Index>(images.size()), 2);
    for (std::size_t i = 0; i < images.size(); ++i) {
      float sum = 0;
      for (const std::uint8_t value : images[i].rgb) sum += value;
      values.row(static_cast<Eigen::Index>(i)) << sum, -sum;
    }
    calls_.images += static_cast<int>(images.size());
    if (calls_.images >= calls_.stop_after) calls_.stop = true;
    return values;
  }

 private:
  ViewSpec spec_;
  Calls& calls_;
};

class FeaturesTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < kImages; ++i) {
      put_file(folder_.path() / "set" / (i % 2 == 0 ? "even" : "odd") /
                   ("image" + std::to_string(10 + i) + ".jpg"),
               jpeg_of(20 + i % 7, 30, i));
    }
    options_.threads = 2;
    options_.messages = &messages_;
    options_.stop = &calls_.stop;
  }

  [[nodiscard]] Dataset dataset() const {
    return Dataset::open(folder_.path() / "set", {}, 0).value();
  }
  ViewRequest fake(const std::string& name, const std::string& hash = "w") {
    ViewRequest request;
    request.name = name;
    request.make = [=]() -> Result<std::unique_ptr<View>> {
      ++calls_.made;
      return std::make_unique<FakeView>(name, hash, calls_);
    };
    return request;
  }
  static ViewRequest handcrafted(const std::string& name) {
    return {name, true, "", [name] { return make_handcrafted_view(name); }};
  }
  /// The same by one loop over the images that decode.
  static Matrix expected(const Dataset& dataset, const std::string& name) {
    std::vector<std::unique_ptr<View>> views;
    views.push_back(make_handcrafted_view(name).value());
    Extractor extractor(std::move(views));
    Matrix values = Matrix::Zero(static_cast<Eigen::Index>(dataset.size()),
                                 extractor.specs()[0].dim);
    for (std::size_t i = 0; i < dataset.size(); ++i) {
      const auto sized = dataset.at_sizes(i, extractor.input_sizes());
      if (!sized) continue;
      values.row(static_cast<Eigen::Index>(i)) =
          extractor.extract({sized.value()})[0].features[0];
    }
    return values;
  }

  static constexpr int kImages = 75;
  TemporaryFolder folder_ = TemporaryFolder::create("shoal-features").value();
  Calls calls_;
  std::ostringstream messages_;
  FeatureOptions options_;
};

TEST_F(FeaturesTest, EveryRowIsItsOwnImagesVector) {
  const Dataset set = dataset();
  const auto features = extract_features(
      set, {handcrafted("color"), fake("net"), handcrafted("rp")}, options_);
  ASSERT_TRUE(features) << features.error().message;
  EXPECT_THAT(features.value().views, ElementsAre("color", "net", "rp"));
  EXPECT_EQ(features.value().items.size(), kImages);
  EXPECT_EQ(features.value().values[0], expected(set, "color"));
  EXPECT_EQ(features.value().values[2], expected(set, "rp"));
  EXPECT_EQ(features.value().values[1].rows(), kImages);
  EXPECT_EQ(calls_.images, kImages);
}

TEST_F(FeaturesTest, BrokenFilesAreSkippedAndNamed) {
  put_file(folder_.path() / "set" / "even" / "image00.jpg", "no image");
  put_file(folder_.path() / "set" / "odd" / "image99.jpg",
           jpeg_of(20, 20, 1).substr(0, 200));
  options_.cache = folder_.path() / "cache";
  const Dataset set = dataset();
  for (const bool cached : {false, true}) {
    SCOPED_TRACE(cached);
    const auto features =
        extract_features(set, {handcrafted("color"), fake("net")}, options_);
    ASSERT_TRUE(features) << features.error().message;
    EXPECT_EQ(features.value().items.size(), kImages);
    EXPECT_EQ(features.value().items.front(), 1U);
    EXPECT_EQ(features.value().values[0].rows(), kImages);
    EXPECT_TRUE(features.value().values[0].allFinite());
    EXPECT_EQ(
        features.value().values[0].row(0),
        expected(Dataset::open(folder_.path() / "set", {}, 0).value(), "color")
            .row(1))
        << "rows move up";
    ASSERT_EQ(features.value().skipped.size(), 2U);
    EXPECT_EQ(features.value().skipped[0].name, "even/image00.jpg");
    EXPECT_THAT(features.value().skipped[0].reason, HasSubstr("no known"));
    EXPECT_THAT(features.value().skipped[1].reason, HasSubstr("JPEG"));
  }
  EXPECT_EQ(calls_.images, kImages) << "the second time from the cache";
}

TEST_F(FeaturesTest, NoUsableImageIsAnError) {
  put_file(folder_.path() / "bad" / "c" / "a.jpg", "no image");
  const auto set = Dataset::open(folder_.path() / "bad", {}, 0).value();
  const auto features = extract_features(set, {fake("net")}, options_);
  ASSERT_FALSE(features);
  EXPECT_EQ(features.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(features.error().message, HasSubstr("c/a.jpg"));
}

TEST_F(FeaturesTest, ACachedViewIsReadOnlyUnderItsVersionAndDataset) {
  options_.cache = folder_.path() / "cache";
  const auto first = extract_features(dataset(), {fake("net")}, options_);
  ASSERT_TRUE(first);
  EXPECT_EQ(calls_.images, kImages);
  const auto second = extract_features(dataset(), {fake("net")}, options_);
  ASSERT_TRUE(second);
  EXPECT_EQ(calls_.images, kImages);
  EXPECT_EQ(second.value().values[0], first.value().values[0]);
  EXPECT_THAT(messages_.str(), HasSubstr("net: read from"));

  ASSERT_TRUE(extract_features(dataset(), {fake("net", "other")}, options_));
  EXPECT_EQ(calls_.images, 2 * kImages) << "other weights";
  ViewRequest precise = fake("net");
  precise.variant = "bf16";
  ASSERT_TRUE(extract_features(dataset(), {precise}, options_));
  EXPECT_EQ(calls_.images, 3 * kImages) << "another variant";
  put_file(folder_.path() / "set" / "even" / "image10.jpg", jpeg_of(50, 50, 3));
  ASSERT_TRUE(extract_features(dataset(), {fake("net")}, options_));
  EXPECT_EQ(calls_.images, 4 * kImages) << "a changed image";
}

TEST_F(FeaturesTest, ABrokenCacheFileIsExtractedAgain) {
  options_.cache = folder_.path() / "cache";
  const auto first = extract_features(dataset(), {fake("net")}, options_);
  ASSERT_TRUE(first);
  std::filesystem::path file;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(options_.cache)) {
    if (entry.path().extension() == ".npy") file = entry.path();
  }
  for (int damage = 0; damage < 2; ++damage) {
    if (damage == 0) {
      std::filesystem::resize_file(file, 100);
    } else {
      ASSERT_TRUE(write_npy(file, Matrix::Ones(3, 2)));
    }
    const auto again = extract_features(dataset(), {fake("net")}, options_);
    ASSERT_TRUE(again);
    EXPECT_EQ(again.value().values[0], first.value().values[0]);
    EXPECT_EQ(calls_.images, (2 + damage) * kImages);
    EXPECT_THAT(messages_.str(), HasSubstr("net: extracted again"));
  }
}

TEST_F(FeaturesTest, AStoppedRunKeepsItsFinishedViews) {
  options_.cache = folder_.path() / "cache";
  calls_.stop_after = kImages + 10;
  const auto stopped =
      extract_features(dataset(), {fake("first"), fake("second")}, options_);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
  const int before = calls_.images;
  EXPECT_LT(before, 2 * kImages);

  calls_.stop = false;
  calls_.stop_after = 1'000'000;
  const auto resumed =
      extract_features(dataset(), {fake("first"), fake("second")}, options_);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_EQ(calls_.images - before, kImages) << "only the second view";
}

TEST_F(FeaturesTest, AViewThatCannotBeMadeNamesItself) {
  ViewRequest broken = fake("net");
  broken.make = []() -> Result<std::unique_ptr<View>> {
    return corruption("no weights");
  };
  const auto features = extract_features(dataset(), {broken}, options_);
  ASSERT_FALSE(features);
  EXPECT_EQ(features.error().message, "view net: no weights");
}

TEST_F(FeaturesTest, IndexAndFeaturesAreWritten) {
  put_file(folder_.path() / "set" / "a, \"b\"" / "x.jpg", jpeg_of(20, 20, 3));
  put_file(folder_.path() / "set" / "even" / "image00.jpg", "no image");
  const Dataset set = dataset();
  const auto features = extract_features(set, {fake("net")}, options_);
  ASSERT_TRUE(features);
  const auto out = folder_.path() / "out";
  ASSERT_TRUE(write_features(out, features.value()));
  ASSERT_TRUE(write_index(out, set, features.value().items));
  const auto values = read_npy(out / "features" / "net.npy", 1 << 20);
  ASSERT_TRUE(values);
  EXPECT_EQ(values.value(), features.value().values[0]);
  const auto index =
      parse_csv(read_file(out / "index.csv", 1 << 20).value()).value();
  ASSERT_EQ(index.size(), kImages + 2U);
  EXPECT_THAT(index[0], ElementsAre("row", "name", "label", "class"));
  EXPECT_THAT(index[1], ElementsAre("0", "a, \"b\"/x.jpg", "0", "a, \"b\""));
  EXPECT_THAT(index[2], ElementsAre("1", "even/image10.jpg", "1", "even"));
}

TEST_F(FeaturesTest, ViewsAreFoundByName) {
  const Dataset set = dataset();
  const auto all = find_views({}, "", {}, set);
  ASSERT_TRUE(all);
  EXPECT_EQ(all.value().size(), handcrafted_view_names().size());
  const auto unknown = find_views({"nonet"}, "", {}, set);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(unknown.error().message, HasSubstr("hog"));
  EXPECT_THAT(unknown.error().message, HasSubstr("--models"));
  EXPECT_EQ(find_views({"hog", "hog"}, "", {}, set).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_F(FeaturesTest, PrincipalComponentsAreThoseOfTheDataset) {
  const Dataset small = dataset();
  auto requests = find_views({"rp_pca"}, "", {}, small).value();
  const auto few = extract_features(small, requests, options_);
  ASSERT_FALSE(few);
  EXPECT_THAT(few.error().message, HasSubstr("view rp_pca"));

  for (int i = 0; i < 150; ++i) {
    put_file(folder_.path() / "set" / "more" / (std::to_string(i) + ".jpg"),
             jpeg_of(20, 20, 100 + i));
  }
  const Dataset set = dataset();
  requests = find_views({"rp_pca"}, "", {}, set).value();
  const auto features = extract_features(set, requests, options_);
  ASSERT_TRUE(features) << features.error().message;
  const Matrix& rows = features.value().values[0];
  EXPECT_EQ(rows.cols(), RawPixelPca::kDim);
  // The basis is of these images, so they are centred in it.
  EXPECT_LT(rows.colwise().mean().cwiseAbs().maxCoeff(),
            1e-3 * rows.cwiseAbs().maxCoeff());
}

TEST_F(FeaturesTest, PixelsAreTheImagesOwn) {
  const auto folder = folder_.path() / "mnist";
  put_file(folder / "x-images-idx3-ubyte",
           test::idx_of({2, 1, 3}, std::string("\0\x33\xff\x66\0\0", 6)));
  put_file(folder / "x-labels-idx1-ubyte",
           test::idx_of({2}, std::string("\1\2", 2)));
  const auto grey = Dataset::open(folder, {}, 0).value();
  const auto views = find_views({"pixels"}, "", {}, grey).value();
  const auto features = extract_features(grey, views, options_);
  ASSERT_TRUE(features) << features.error().message;
  Matrix wanted(2, 3);
  wanted << 0, 0.2F, 1, 0.4F, 0, 0;
  EXPECT_TRUE(features.value().values[0].isApprox(wanted));

  const Dataset mixed = dataset();
  const auto other = find_views({"pixels"}, "", {}, mixed).value();
  EXPECT_EQ(extract_features(mixed, other, options_).error().code,
            ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace shoal::eval
