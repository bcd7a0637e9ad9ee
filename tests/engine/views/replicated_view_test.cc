#include "engine/views/internal/replicated_view.h"

#include <stdexcept>

#include <gtest/gtest.h>

#include "engine/views/extractor.h"

namespace shoal::internal {
namespace {

/// Gives the first byte of each image; notes how many it was given at a time.
class FirstByte final : public View {
 public:
  explicit FirstByte(std::vector<std::size_t>* batches) : batches_(batches) {
    spec_.name = "first_byte";
    spec_.dim = 1;
    spec_.input_width = 1;
    spec_.input_height = 1;
  }
  [[nodiscard]] const ViewSpec& spec() const override { return spec_; }
  [[nodiscard]] Result<Matrix> extract(
      const std::vector<Image>& images) override {
    batches_->push_back(images.size());
    Matrix out(static_cast<Eigen::Index>(images.size()), 1);
    for (std::size_t i = 0; i < images.size(); ++i) {
      const std::uint8_t byte = images[i].rgb[0];
      if (byte == 254) return resource_exhausted("no memory");
      if (byte == 255) throw std::runtime_error("broken");
      out(static_cast<Eigen::Index>(i), 0) = byte;
    }
    return out;
  }

 private:
  ViewSpec spec_;
  std::vector<std::size_t>* batches_;
};

class ReplicatedViewTest : public ::testing::Test {
 protected:
  static std::vector<Image> images(int count) {
    std::vector<Image> made;
    for (int i = 0; i < count; ++i) {
      const auto byte = static_cast<std::uint8_t>(i);
      made.push_back({1, 1, {byte, byte, byte}});
    }
    return made;
  }

  std::unique_ptr<ReplicatedView> make(std::size_t replicas) {
    batches_.resize(replicas);
    std::vector<std::unique_ptr<View>> views;
    for (auto& batches : batches_) {
      views.push_back(std::make_unique<FirstByte>(&batches));
    }
    return std::make_unique<ReplicatedView>(std::move(views));
  }

  std::vector<std::vector<std::size_t>> batches_;  ///< by replica
};

TEST_F(ReplicatedViewTest, SharesABatchAndKeepsItsOrder) {
  const auto view = make(3);
  const Matrix features = view->extract(images(10)).value();
  ASSERT_EQ(features.rows(), 10);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(features(i, 0), static_cast<float>(i));
  }
  EXPECT_EQ(batches_, (std::vector<std::vector<std::size_t>>{{4}, {4}, {2}}));
}

TEST_F(ReplicatedViewTest, FewImagesNeedFewReplicas) {
  const auto view = make(3);
  EXPECT_EQ(view->extract({}).value().rows(), 0);
  EXPECT_EQ(view->extract(images(2)).value().rows(), 2);
  EXPECT_EQ(batches_, (std::vector<std::vector<std::size_t>>{{1}, {1}, {}}));
}

TEST_F(ReplicatedViewTest, AFailingShareFailsTheBatch) {
  const auto view = make(2);
  auto batch = images(6);
  batch[5].rgb[0] = 254;
  const auto answer = view->extract(batch);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kResourceExhausted);
  batch[5].rgb[0] = 255;
  EXPECT_THROW(static_cast<void>(view->extract(batch)), std::runtime_error);
}

TEST_F(ReplicatedViewTest, TheExtractorFindsTheImageAtFault) {
  std::vector<std::unique_ptr<View>> views;
  views.push_back(make(2));
  Extractor extractor(std::move(views));
  auto batch = images(8);
  batch[6].rgb[0] = 255;
  std::vector<Extractor::SizedImage> sized;
  for (const Image& image : batch) {
    sized.push_back({std::make_shared<const Image>(image)});
  }
  const auto results = extractor.extract(sized);
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].error.has_value(), i == 6) << i;
  }
}

}  // namespace
}  // namespace shoal::internal
