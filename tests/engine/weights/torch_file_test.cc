// Files of torch.save, good and bad.

#include <cstdlib>
#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/bytes.h"
#include "common/file.h"
#include "engine/weights/weights_file.h"
#include "tests/engine/weights/release_files.h"

namespace shoal {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

/// Opens `bytes` as a file; gives the error's message, or "".
std::string open_bytes(const fs::path& folder, const std::string& bytes) {
  const fs::path path = folder / "changed.pth";
  std::ofstream(path, std::ios::binary) << bytes;
  const auto file = WeightsFile::open(path);
  if (!file) {
    EXPECT_FALSE(file.error().message.empty());
    return file.error().message;
  }
  for (const auto& [name, tensor] : file.value()->tensors()) {
    // Whatever it is called, its elements are in the file.
    if (is_floating(tensor.type)) {
      EXPECT_TRUE(read_values(tensor)) << name;
    }
  }
  return "";
}

TEST(TorchFile, EveryLayoutAndProtocolGivesTheSameBits) {
  SHOAL_GOLDEN_FOLDER(folder, "torch_files");
  for (const char* name :
       {"zip.pth", "zip_protocol1.pth", "zip_protocol3.pth",
        "zip_protocol4.pth", "zip_protocol5.pth", "legacy.pth",
        "legacy_protocol1.pth", "legacy_protocol3.pth", "legacy_protocol4.pth",
        "legacy_protocol5.pth", "dict.pth", "checkpoint_state_dict.pth",
        "checkpoint_model_state_dict.pth", "checkpoint_model.pth",
        "expected.safetensors"}) {
    SCOPED_TRACE(name);
    const auto file = WeightsFile::open(folder / name);
    ASSERT_TRUE(file) << file.error().message;
    test::expect_tensors(file.value()->tensors(),
                         folder / "expected.safetensors");
  }
}

TEST(TorchFile, ANetsStateDictIsReadWithItsCounters) {
  SHOAL_GOLDEN_FOLDER(folder, "torch_files");
  const auto file = WeightsFile::open(folder / "net.pth");
  ASSERT_TRUE(file) << file.error().message;
  StoredTensors tensors = file.value()->tensors();
  ASSERT_EQ(tensors.count("1.num_batches_tracked"), 1U);
  const StoredTensor counter = tensors.at("1.num_batches_tracked");
  EXPECT_EQ(counter.type, ElementType::kInt64);
  EXPECT_EQ(read_values(counter).error().code, ErrorCode::kUnsupported);
  const auto named = file.value()->tensors_for("resnet50");
  ASSERT_TRUE(named);
  EXPECT_EQ(named.value().count("1.num_batches_tracked"), 0U);
  EXPECT_EQ(named.value().size() + 1, tensors.size());
}

TEST(TorchFile, NothingThatAFileNamesIsRun) {
  SHOAL_GOLDEN_FOLDER(folder, "torch_files");
  const std::pair<const char*, const char*> bad[] = {
      {"system", "posix.system is not allowed in a weights file"},
      {"eval", ".eval is not allowed in a weights file"},
      {"exec", ".exec is not allowed in a weights file"},
      {"getattr", ".getattr is not allowed in a weights file"},
      {"module", "torch.nn.modules.container.Sequential is not allowed"},
      {"object", "__main__.HasState is not allowed"},
      {"set", ".set is not allowed"},
      {"complex", ".complex is not allowed"},
      {"size", "torch.Size is not allowed"},
      {"bytearray", ".bytearray is not allowed"},
  };
  for (const auto& [name, message] : bad) {
    for (const char* layout : {"_zip.pth", "_old.pth"}) {
      const auto file =
          WeightsFile::open(folder / ("bad_" + std::string(name) + layout));
      ASSERT_FALSE(file) << name << layout;
      EXPECT_EQ(file.error().code, ErrorCode::kPermissionDenied);
      EXPECT_THAT(file.error().message, HasSubstr(message));
      EXPECT_THAT(file.error().message, HasSubstr(name));
    }
  }
  EXPECT_FALSE(fs::exists(folder / "was_run"));
}

TEST(TorchFile, OtherFilesAreToldApart) {
  SHOAL_GOLDEN_FOLDER(folder, "torch_files");
  const auto message = [&](const char* name) {
    const auto file = WeightsFile::open(folder / name);
    return file ? std::string() : file.error().message;
  };
  EXPECT_THAT(message("script.pt"), HasSubstr("TorchScript module"));
  EXPECT_THAT(message("list.pth"), HasSubstr("no dict of tensors"));
  EXPECT_THAT(message("no_tensors.pth"), HasSubstr("no tensors"));
  EXPECT_THAT(message("plain.pkl"), HasSubstr("neither a file of torch.save"));
  EXPECT_EQ(WeightsFile::open(folder / "absent").error().code,
            ErrorCode::kNotFound);
  EXPECT_THAT(open_bytes(folder, ""), HasSubstr("neither"));
  EXPECT_THAT(open_bytes(folder, "PK\x03\x04 and no more"),
              HasSubstr("cut short"));
}

TEST(TorchFile, CutShortAnywhereIsRefused) {
  SHOAL_GOLDEN_FOLDER(folder, "torch_files");
  for (const char* name : {"zip.pth", "legacy.pth", "net.pth"}) {
    const auto bytes = read_file(folder / name, 1 << 20).value();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      ASSERT_NE(open_bytes(folder, bytes.substr(0, size)), "")
          << name << " cut at " << size;
    }
  }
}

TEST(TorchFile, RandomChangesNeverDoHarm) {
  SHOAL_GOLDEN_FOLDER(folder, "torch_files");
  std::mt19937 random(3);
  for (const char* name : {"zip.pth", "legacy.pth"}) {
    const auto good = read_file(folder / name, 1 << 20).value();
    int refused = 0;
    for (int round = 0; round < 500; ++round) {
      std::string bytes = good;
      for (int i = 0; i < 3; ++i) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      refused += open_bytes(folder, bytes).empty() ? 0 : 1;
    }
    EXPECT_GT(refused, 100) << name;
  }
}

TEST(TorchFile, AStorageOfAnotherSizeThanClaimedIsRefused) {
  SHOAL_GOLDEN_FOLDER(folder, "torch_files");
  auto bytes = read_file(folder / "legacy.pth", 1 << 20).value();
  const auto file = WeightsFile::open(folder / "expected.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  // Storages come in no order that a file promises; each is its count and its
  // elements.
  const StoredTensor& plain = file.value()->tensors().at("plain");
  const std::size_t at = bytes.find(
      ByteWriter().number(std::uint64_t{12}).raw(plain.bytes).take());
  ASSERT_NE(at, std::string::npos);
  for (const char count : {'\x0b', '\x0d', '\xff'}) {
    bytes[at] = count;
    EXPECT_THAT(open_bytes(folder, bytes),
                AnyOf(HasSubstr("is said to have"), HasSubstr("is cut short")));
  }
  bytes[at] = '\x0c';
  EXPECT_EQ(open_bytes(folder, bytes), "");
}

TEST(Zip, DamageInAnEntryIsFoundByItsChecksum) {
  SHOAL_GOLDEN_FOLDER(folder, "torch_files");
  auto bytes = read_file(folder / "zip.pth", 1 << 20).value();
  const std::size_t data = bytes.find("zip/data/0");
  ASSERT_NE(data, std::string::npos);
  const std::size_t inside = (data + 63) / 64 * 64;  // entries begin at 64s
  bytes[inside] = static_cast<char>(bytes[inside] ^ 1);
  EXPECT_THAT(open_bytes(folder, bytes), HasSubstr("entry zip/data/0: its "
                                                   "CRC-32 does not fit"));
}

TEST(Zip, ACompressedArchiveIsRefused) {
  const auto folder = TemporaryFolder::create("shoal-zip").value();
  const std::string command =
      "/usr/bin/python3 -c \"import zipfile; z = zipfile.ZipFile('" +
      (folder.path() / "x.pth").string() +
      "', 'w', zipfile.ZIP_DEFLATED); z.writestr('x/data.pkl', b'N.' * 1000); "
      "z.close()\"";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto file = WeightsFile::open(folder.path() / "x.pth");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(file.error().message, HasSubstr("compressed"));
}

}  // namespace
}  // namespace shoal
