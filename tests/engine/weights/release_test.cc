// Releases of others become our names and axes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/weights/weights_file.h"
#include "tests/engine/weights/release_files.h"

namespace shoal {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct ReleaseFile {
  const char* kind;
  const char* architecture;
  const char* ending;
};

constexpr ReleaseFile kFiles[] = {
    {"keras", "vgg16", ".h5"},
    {"keras", "vgg19", ".h5"},
    {"keras", "resnet50", ".h5"},
    {"keras", "resnet101", ".h5"},
    {"keras2015", "resnet50", ".h5"},
    {"keras", "densenet121", ".h5"},
    {"keras3", "densenet121", ".h5"},
    {"keras", "inception_v3", ".h5"},
    {"keras0", "inception_v3", ".h5"},
    {"keras", "xception", ".h5"},
    {"keras", "mobilenet_v1", ".h5"},
    {"keras", "mobilenet_v2", ".h5"},
    {"timm", "mobilenet_v1", ".safetensors"},
    {"timm", "mobilenet_v2", ".safetensors"},
    {"timm", "efficientnet_b0", ".safetensors"},
    {"timm", "vgg16", ".safetensors"},
    {"timm", "vgg19_bn", ".safetensors"},
    {"old", "densenet121", ".safetensors"},
    {"cadene", "xception", ".safetensors"},
};

TEST(ReleaseNames, BecomeOurNamesAndAxesBitForBit) {
  SHOAL_GOLDEN_FOLDER(folder, "release_files");
  for (const ReleaseFile& release : kFiles) {
    const std::string stem =
        std::string(release.kind) + "_" + release.architecture;
    SCOPED_TRACE(stem);
    const auto file = WeightsFile::open(folder / (stem + release.ending));
    ASSERT_TRUE(file) << file.error().message;
    const auto named = file.value()->tensors_for(release.architecture);
    ASSERT_TRUE(named) << named.error().message;
    test::expect_tensors(named.value(),
                         folder / (stem + ".expected.safetensors"));
  }
}

TEST(ReleaseNames, AnotherArchitectureIsRefusedByLayerOrTensor) {
  SHOAL_GOLDEN_FOLDER(folder, "release_files");
  const auto error = [&](const char* name, const char* architecture) {
    const auto file = WeightsFile::open(folder / name);
    if (!file) return file.error();
    const auto named = file.value()->tensors_for(architecture);
    EXPECT_FALSE(named);
    return named ? Error{} : named.error();
  };
  EXPECT_THAT(error("keras_vgg16.h5", "resnet50").message,
              HasSubstr("layer block1_conv1 has no place in architecture "
                        "resnet50"));
  EXPECT_THAT(error("keras_vgg19.h5", "vgg16").message,
              HasSubstr("layer block3_conv4 has no place"));
  EXPECT_THAT(error("keras_xception.h5", "inception_v3").message,
              HasSubstr("it has 4 numbered convolutions"));
  const Error squeezenet = error("keras_vgg16.h5", "squeezenet1_1");
  EXPECT_EQ(squeezenet.code, ErrorCode::kUnsupported);
  EXPECT_THAT(squeezenet.message, HasSubstr("Keras weights are read for"));
  EXPECT_THAT(error("timm_mobilenet_v2.safetensors", "mobilenet_v1").message,
              HasSubstr("tensor blocks."));
}

TEST(KerasFile, CutShortOrDamagedIsRefusedNotHarmful) {
  SHOAL_GOLDEN_FOLDER(folder, "release_files");
  const auto bytes =
      read_file(folder / "keras_mobilenet_v1.h5", 1 << 24).value();
  const fs::path path = folder / "damaged.h5";
  for (std::size_t i = 0; i < 40; ++i) {
    ASSERT_TRUE(
        write_file_atomically(path, bytes.substr(0, bytes.size() * i / 40)));
    EXPECT_FALSE(WeightsFile::open(path)) << i;
  }
}

}  // namespace
}  // namespace shoal
