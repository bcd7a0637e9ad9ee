#include "engine/views/extractor.h"

#include <algorithm>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal {
namespace {

using testing::HasSubstr;

/// The feature is the first pixel's red value; images whose first value is
/// in `poison` fail, batches above `max_batch` have no memory.
class FakeView final : public View {
 public:
  struct Faults {
    std::vector<int> poison;
    bool throws = false;
    std::size_t max_batch = 1000;
    bool gives_nan = false;
  };

  FakeView(std::string name, int side, Faults faults,
           std::vector<std::size_t>* calls)
      : faults_(std::move(faults)), calls_(calls) {
    spec_.name = std::move(name);
    spec_.dim = 2;
    spec_.input_width = side;
    spec_.input_height = side;
  }

  [[nodiscard]] const ViewSpec& spec() const override { return spec_; }

  [[nodiscard]] Result<Matrix> extract(
      const std::vector<Image>& images) override {
    calls_->push_back(images.size());
    if (images.size() > faults_.max_batch) {
      if (faults_.throws) throw std::bad_alloc();
      return resource_exhausted("no memory");
    }
    Matrix features(static_cast<Eigen::Index>(images.size()), 2);
    for (std::size_t i = 0; i < images.size(); ++i) {
      EXPECT_EQ(images[i].width, spec_.input_width);
      const int value = images[i].rgb.at(0);
      if (std::count(faults_.poison.begin(), faults_.poison.end(), value)) {
        if (faults_.throws) throw std::runtime_error("poisoned");
        return internal_error("poisoned");
      }
      features.row(static_cast<Eigen::Index>(i)) << static_cast<float>(value),
          static_cast<float>(spec_.input_width);
    }
    if (faults_.gives_nan) features(0, 0) = std::nanf("");
    return features;
  }

 private:
  ViewSpec spec_;
  Faults faults_;
  std::vector<std::size_t>* calls_;
};

std::shared_ptr<const Image> image_of(int value, int side) {
  return std::make_shared<Image>(
      Image{side, side,
            std::vector<std::uint8_t>(static_cast<std::size_t>(side * side * 3),
                                      static_cast<std::uint8_t>(value))});
}

/// Images 0 .. n-1 at the extractor's sizes.
std::vector<Extractor::SizedImage> images(const Extractor& extractor, int n) {
  std::vector<Extractor::SizedImage> all;
  for (int value = 0; value < n; ++value) {
    Extractor::SizedImage sized;
    for (const auto& [width, height] : extractor.input_sizes()) {
      sized.push_back(image_of(value, width));
    }
    all.push_back(sized);
  }
  return all;
}

Extractor one_view(FakeView::Faults faults, std::vector<std::size_t>* calls) {
  std::vector<std::unique_ptr<View>> views;
  views.push_back(std::make_unique<FakeView>("fake", 4, faults, calls));
  return Extractor(std::move(views));
}

TEST(Extractor, GivesEveryViewsVectorInOrder) {
  std::vector<std::size_t> calls;
  std::vector<std::unique_ptr<View>> views;
  for (const auto& [name, side] :
       std::vector<std::pair<std::string, int>>{{"a", 8}, {"b", 4}, {"c", 8}}) {
    views.push_back(
        std::make_unique<FakeView>(name, side, FakeView::Faults{}, &calls));
  }
  Extractor extractor(std::move(views));
  EXPECT_EQ(extractor.input_sizes(),
            (std::vector<std::pair<int, int>>{{8, 8}, {4, 4}}));
  ASSERT_EQ(extractor.specs().size(), 3U);
  EXPECT_EQ(extractor.specs()[1].name, "b");

  const auto results = extractor.extract(images(extractor, 5));
  ASSERT_EQ(results.size(), 5U);
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_FALSE(results[i].error);
    ASSERT_EQ(results[i].features.size(), 3U);
    const auto value = static_cast<float>(i);
    EXPECT_EQ(results[i].features[0], Eigen::Vector2f(value, 8));
    EXPECT_EQ(results[i].features[1], Eigen::Vector2f(value, 4));
    EXPECT_EQ(results[i].features[2], Eigen::Vector2f(value, 8));
  }
  EXPECT_THAT(calls, testing::ElementsAre(5U, 5U, 5U));
  EXPECT_EQ(extractor.stats().batches, 3U);
  EXPECT_EQ(extractor.stats().batch_retries, 0U);
}

TEST(Extractor, ABadImageTakesNoOthersWithIt) {
  for (const bool throws : {false, true}) {
    std::vector<std::size_t> calls;
    Extractor extractor = one_view({{3, 6}, throws}, &calls);
    const auto results = extractor.extract(images(extractor, 9));
    for (std::size_t i = 0; i < results.size(); ++i) {
      const bool bad = i == 3 || i == 6;
      ASSERT_EQ(results[i].error.has_value(), bad) << i;
      EXPECT_EQ(results[i].features.size(), bad ? 0U : 1U);
      if (bad) {
        EXPECT_EQ(results[i].error->code, ErrorCode::kInternal);
        EXPECT_THAT(results[i].error->message, HasSubstr("poisoned"));
        EXPECT_THAT(results[i].error->message, HasSubstr("view fake"));
      } else {
        EXPECT_EQ(results[i].features[0][0], static_cast<float>(i));
      }
    }
    EXPECT_EQ(extractor.stats().failed_images, 2U);
    EXPECT_GT(extractor.stats().batch_retries, 0U);
    EXPECT_EQ(extractor.stats().batches, calls.size());
  }
}

TEST(Extractor, ABatchWithoutMemoryIsNotTriedAtThatSizeAgain) {
  for (const bool throws : {false, true}) {
    std::vector<std::size_t> calls;
    Extractor extractor = one_view({{}, throws, 3}, &calls);
    for (const Extraction& result : extractor.extract(images(extractor, 16))) {
      EXPECT_FALSE(result.error);
    }
    EXPECT_EQ(extractor.stats().batch_retries, 3U);  // 16, 8, 4
    EXPECT_EQ(extractor.stats().failed_images, 0U);
    calls.clear();
    for (const Extraction& result : extractor.extract(images(extractor, 16))) {
      EXPECT_FALSE(result.error);
      EXPECT_EQ(result.features.size(), 1U);
    }
    EXPECT_LE(*std::max_element(calls.begin(), calls.end()), 3U);
    EXPECT_EQ(extractor.stats().batch_retries, 3U);
  }
}

TEST(Extractor, ABadImageDoesNotLowerTheBatchSize) {
  std::vector<std::size_t> calls;
  Extractor extractor = one_view({{3}}, &calls);
  const auto first = extractor.extract(images(extractor, 8));
  EXPECT_TRUE(first[3].error);
  calls.clear();
  const auto second = extractor.extract(images(extractor, 3));
  EXPECT_FALSE(second[0].error);
  EXPECT_THAT(calls, testing::ElementsAre(3U));
}

TEST(Extractor, AnImageThatFailsInOneViewIsSparedTheOthers) {
  std::vector<std::size_t> first_calls;
  std::vector<std::size_t> second_calls;
  std::vector<std::unique_ptr<View>> views;
  views.push_back(
      std::make_unique<FakeView>("a", 4, FakeView::Faults{{1}}, &first_calls));
  views.push_back(
      std::make_unique<FakeView>("b", 4, FakeView::Faults{}, &second_calls));
  Extractor extractor(std::move(views));
  const auto results = extractor.extract(images(extractor, 4));
  EXPECT_TRUE(results[1].error);
  EXPECT_TRUE(results[1].features.empty());
  EXPECT_EQ(results[2].features.size(), 2U);
  EXPECT_THAT(second_calls, testing::ElementsAre(3U));
}

TEST(Extractor, AnImageWithoutMemoryEvenAloneFails) {
  std::vector<std::size_t> calls;
  Extractor extractor = one_view({{}, false, 0}, &calls);
  const auto results = extractor.extract(images(extractor, 3));
  for (const Extraction& result : results) {
    ASSERT_TRUE(result.error);
    EXPECT_EQ(result.error->code, ErrorCode::kResourceExhausted);
  }
}

TEST(Extractor, ValuesThatAreNotFiniteAreAFailure) {
  std::vector<std::size_t> calls;
  FakeView::Faults faults;
  faults.gives_nan = true;
  Extractor extractor = one_view(faults, &calls);
  for (const Extraction& result : extractor.extract(images(extractor, 2))) {
    ASSERT_TRUE(result.error);
    EXPECT_THAT(result.error->message, HasSubstr("not finite"));
  }
}

TEST(Extractor, NoImagesAreNoWork) {
  std::vector<std::size_t> calls;
  Extractor extractor = one_view({}, &calls);
  EXPECT_TRUE(extractor.extract({}).empty());
  EXPECT_TRUE(calls.empty());
}

}  // namespace
}  // namespace shoal
