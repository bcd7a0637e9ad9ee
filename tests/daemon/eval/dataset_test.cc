#include "daemon/eval/dataset.h"

#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file.h"
#include "tests/daemon/eval/dataset_files.h"
#include "tests/support/data.h"

namespace shoal::eval {
namespace {

using test::gzip_of;
using test::idx_of;
using test::jpeg_of;
using test::put_file;
using testing::ElementsAre;
using testing::HasSubstr;

class DatasetTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path at(const std::string& name) const {
    return folder_.path() / name;
  }
  [[nodiscard]] Result<Dataset> open(const std::string& name = "set",
                                     std::size_t limit = 0) const {
    return Dataset::open(at(name), {}, limit);
  }
  [[nodiscard]] ErrorCode problem(const std::string& name = "set") const {
    const auto dataset = open(name);
    EXPECT_FALSE(dataset);
    return dataset ? ErrorCode::kInternal : dataset.error().code;
  }
  static std::vector<std::string> names(const Dataset& dataset) {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < dataset.size(); ++i) {
      all.push_back(dataset.item(i).name);
    }
    return all;
  }
  static std::vector<int> labels(const Dataset& dataset) {
    std::vector<int> all;
    for (std::size_t i = 0; i < dataset.size(); ++i) {
      all.push_back(dataset.item(i).label);
    }
    return all;
  }
  void put_idx(const std::string& stem, int count, int first_label) const {
    const auto n = static_cast<std::uint32_t>(count);
    std::string pixels(static_cast<std::size_t>(count) * 6, '\0');
    std::iota(pixels.begin(), pixels.end(), '\0');
    std::string digits(static_cast<std::size_t>(count), '\0');
    std::iota(digits.begin(), digits.end(), static_cast<char>(first_label));
    put_file(at("set/" + stem + "-images-idx3-ubyte"),
             idx_of({n, 2, 3}, pixels));
    put_file(at("set/" + stem + "-labels-idx1-ubyte.gz"),
             gzip_of(idx_of({n}, digits)));
  }

  TemporaryFolder folder_ = TemporaryFolder::create("shoal-dataset").value();
};

TEST_F(DatasetTest, AFolderOfClassFoldersIsReadInOrderOfNames) {
  for (const char* name :
       {"set/dog/b.jpg", "set/dog/a.jpg", "set/cat/z.jpg", "set/cat/.hidden",
        "set/cat/deeper/c.jpg", "set/notes.txt", "set/.git/config"}) {
    put_file(at(name), jpeg_of(20, 10, 1));
  }
  const auto dataset = open();
  ASSERT_TRUE(dataset) << dataset.error().message;
  EXPECT_EQ(dataset.value().name(), "set");
  EXPECT_THAT(dataset.value().classes(), ElementsAre("cat", "dog"));
  EXPECT_THAT(names(dataset.value()),
              ElementsAre("cat/z.jpg", "dog/a.jpg", "dog/b.jpg"));
  EXPECT_THAT(labels(dataset.value()), ElementsAre(0, 1, 1));
  const auto images = dataset.value().at_sizes(0, {{4, 5}, {8, 8}});
  ASSERT_TRUE(images);
  EXPECT_EQ(images.value()[0]->width, 4);
  EXPECT_EQ(images.value()[1]->height, 8);
}

TEST_F(DatasetTest, IdxPairsGiveGreyImagesAndDigits) {
  put_idx("t10k", 3, 7);
  put_idx("train", 2, 0);
  const auto dataset = open();
  ASSERT_TRUE(dataset) << dataset.error().message;
  EXPECT_THAT(dataset.value().classes(), ElementsAre("0", "1", "7", "8", "9"));
  EXPECT_THAT(names(dataset.value()),
              ElementsAre("t10k/000000", "t10k/000001", "t10k/000002",
                          "train/000000", "train/000001"));
  EXPECT_THAT(labels(dataset.value()), ElementsAre(2, 3, 4, 0, 1));
  const auto image = dataset.value().at_sizes(4, {{3, 2}});
  ASSERT_TRUE(image);
  EXPECT_THAT(image.value()[0]->rgb, ElementsAre(6, 6, 6, 7, 7, 7, 8, 8, 8, 9,
                                                 9, 9, 10, 10, 10, 11, 11, 11));
  const auto shape = dataset.value().pixel_shape();
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape.value().width, 3);
  EXPECT_EQ(shape.value().height, 2);
  EXPECT_EQ(shape.value().channels, 1);
}

TEST_F(DatasetTest, AnImagesFileAloneIsItsPair) {
  put_idx("t10k", 3, 0);
  put_idx("train", 2, 0);
  const auto dataset = open("set/train-images-idx3-ubyte");
  ASSERT_TRUE(dataset) << dataset.error().message;
  EXPECT_EQ(dataset.value().size(), 2U);
}

TEST_F(DatasetTest, TheSharedMnistIsRead) {
  SHOAL_REQUIRE_DATA("mnist");
  const auto dataset = Dataset::open(test::shared_data() / "mnist", {}, 0);
  ASSERT_TRUE(dataset) << dataset.error().message;
  EXPECT_EQ(dataset.value().size(), 10'000U);
  EXPECT_EQ(dataset.value().classes().size(), 10U);
  // The first digits of the test set, as everyone knows them.
  const std::vector<int> all = labels(dataset.value());
  EXPECT_THAT(std::vector<int>(all.begin(), all.begin() + 5),
              ElementsAre(7, 2, 1, 0, 4));
}

TEST_F(DatasetTest, BrokenIdxFilesAreErrors) {
  put_idx("t10k", 3, 0);
  const auto images = at("set/t10k-images-idx3-ubyte");
  const auto labels_file = at("set/t10k-labels-idx1-ubyte.gz");
  const std::string whole = read_file(images, 1 << 20).value();
  put_file(images, whole.substr(0, whole.size() - 1));
  EXPECT_EQ(problem(), ErrorCode::kCorruption);
  put_file(images, "PK" + whole.substr(2));
  EXPECT_EQ(problem(), ErrorCode::kCorruption);
  put_file(images, idx_of({0xffffffff, 0xffffffff, 0xffffffff}, "x"));
  EXPECT_EQ(problem(), ErrorCode::kCorruption);
  put_file(images, whole);
  const std::string gzip = read_file(labels_file, 1 << 20).value();
  put_file(labels_file, gzip.substr(0, gzip.size() - 9));
  EXPECT_EQ(problem(), ErrorCode::kCorruption);
  put_file(labels_file, gzip_of(idx_of({2}, "ab")));
  EXPECT_EQ(problem(), ErrorCode::kCorruption);
  std::filesystem::remove(labels_file);
  EXPECT_EQ(problem(), ErrorCode::kNotFound);
}

TEST_F(DatasetTest, ACsvKeepsItsOrderAndTakesPathsFromItsFolder) {
  put_file(at("set/images/b.jpg"), jpeg_of(20, 10, 1));
  put_file(at("set/a,1.jpg"), jpeg_of(20, 10, 2));
  put_file(at("set/list.csv"),
           "path,label\nimages/b.jpg,10\n\"a,1.jpg\",9\nimages/b.jpg,9\n");
  const auto dataset = open("set/list.csv");
  ASSERT_TRUE(dataset) << dataset.error().message;
  EXPECT_THAT(dataset.value().classes(), ElementsAre("9", "10"));
  EXPECT_THAT(names(dataset.value()),
              ElementsAre("images/b.jpg", "a,1.jpg", "images/b.jpg"));
  EXPECT_THAT(labels(dataset.value()), ElementsAre(1, 0, 0));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(dataset.value().at_sizes(i, {{4, 4}}));
  }
}

TEST_F(DatasetTest, AFolderOfOneCsvAndFlatImagesIsThatCsv) {
  put_file(at("set/a.jpg"), jpeg_of(20, 10, 2));
  put_file(at("set/list.csv"), "a.jpg,cat\n");
  const auto dataset = open();
  ASSERT_TRUE(dataset) << dataset.error().message;
  EXPECT_THAT(names(dataset.value()), ElementsAre("a.jpg"));
}

TEST_F(DatasetTest, ACsvOfOtherColumnsIsAnError) {
  put_file(at("set/list.csv"), "a.jpg,cat,3\n");
  EXPECT_EQ(problem("set/list.csv"), ErrorCode::kCorruption);
}

TEST_F(DatasetTest, OtherLayoutsAreRefusedSayingWhatIsExpected) {
  put_file(at("set/a.jpg"), jpeg_of(20, 10, 2));
  const auto flat = open();
  ASSERT_FALSE(flat);
  EXPECT_EQ(flat.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(flat.error().message, HasSubstr("one folder per class"));
  EXPECT_EQ(problem("set/a.jpg"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(problem("nowhere"), ErrorCode::kNotFound);
  std::filesystem::create_directories(at("empty/class"));
  EXPECT_EQ(problem("empty"), ErrorCode::kInvalidArgument);
}

TEST_F(DatasetTest, ALimitTakesEvenlyFromAllClasses) {
  for (int i = 0; i < 30; ++i) {
    put_file(at("set/" + std::to_string(i / 10) + "/" + std::to_string(i)),
             "x");
  }
  const auto part = open("set", 6);
  ASSERT_TRUE(part);
  EXPECT_THAT(labels(part.value()), ElementsAre(0, 0, 1, 1, 2, 2));
  EXPECT_EQ(part.value().classes().size(), 3U);
  EXPECT_EQ(names(open("set", 6).value()), names(part.value()));
  EXPECT_EQ(open("set", 100).value().size(), 30U);
  EXPECT_NE(open("set", 100).value().digest(), part.value().digest());
}

TEST_F(DatasetTest, TheDigestChangesWithTheFiles) {
  put_file(at("set/c/a"), "1");
  put_file(at("set/c/b"), "2");
  const std::string before = open().value().digest();
  EXPECT_EQ(before.size(), 16U);
  EXPECT_EQ(open().value().digest(), before);
  put_file(at("set/c/b"), "22");
  const std::string longer = open().value().digest();
  EXPECT_NE(longer, before);
  std::filesystem::last_write_time(
      at("set/c/b"),
      std::filesystem::file_time_type::clock::now() + std::chrono::seconds(5));
  const std::string later = open().value().digest();
  EXPECT_NE(later, longer);
  std::filesystem::rename(at("set/c/b"), at("set/c/d"));
  EXPECT_NE(open().value().digest(), later);
}

TEST_F(DatasetTest, PixelShapeNeedsOneSize) {
  put_file(at("set/c/a"), jpeg_of(20, 10, 2));
  put_file(at("set/c/broken"), "no image");
  const auto shape = open().value().pixel_shape();
  ASSERT_TRUE(shape) << shape.error().message;
  EXPECT_EQ(shape.value().channels, 3);
  put_file(at("set/c/b"), jpeg_of(10, 20, 2));
  const auto mixed = open().value().pixel_shape();
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(mixed.error().message, HasSubstr("c/b has 10 x 20"));
  put_file(at("set/c/a"), "no image");
  std::filesystem::remove(at("set/c/b"));
  EXPECT_FALSE(open().value().pixel_shape());
}

}  // namespace
}  // namespace shoal::eval
