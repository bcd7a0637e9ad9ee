#include "daemon/models/inspect.h"

#include <set>

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(ImageNetClasses, AreThoseOfIlsvrc2012InOrder) {
  const std::vector<std::string> names = imagenet_class_names();
  ASSERT_EQ(names.size(), 1000U);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 1000U);
  EXPECT_EQ(names[0], "tench");
  EXPECT_EQ(names[24], "great grey owl");
  EXPECT_EQ(names[88], "macaw");
  EXPECT_EQ(names[281], "tabby");
  EXPECT_EQ(names[652], "military uniform");
  EXPECT_EQ(names[934], "hotdog");
  EXPECT_EQ(names[985], "daisy");
  EXPECT_EQ(names[999], "toilet tissue");
}

TEST(RenderedPicture, IsTheSameEachTimeAndNotFlat) {
  const Image picture = rendered_picture();
  ASSERT_EQ(picture.rgb.size(), static_cast<std::size_t>(picture.width) *
                                    static_cast<std::size_t>(picture.height) *
                                    3);
  EXPECT_EQ(picture.rgb, rendered_picture().rgb);
  EXPECT_GT(
      std::set<std::uint8_t>(picture.rgb.begin(), picture.rgb.end()).size(),
      100U);
}

}  // namespace
}  // namespace shoal
