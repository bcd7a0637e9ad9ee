#include <fstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/write_batch.h>

#include "store/internal/codec.h"
#include "store/internal/database.h"
#include "store/internal/schema.h"
#include "tests/store/child_process.h"
#include "tests/store/fixture.h"

namespace shoal::test {
namespace {

using internal::Database;
using internal::Family;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class OpenTest : public StoreFixture {
 protected:
  [[nodiscard]] Error error_of_opening(bool read_only = false) const {
    StoreOptions options;
    options.folder = folder();
    options.read_only = read_only;
    const auto opened = open_rocksdb_store(options);
    EXPECT_FALSE(opened.has_value());
    return opened.has_value() ? Error{} : opened.error();
  }
  void make_store_with_an_image() {
    open();
    ASSERT_TRUE(store->put_images({make_image("a")}).has_value());
    store.reset();
  }
  [[nodiscard]] std::unique_ptr<Database> open_database() const {
    StoreOptions options;
    options.folder = folder();
    return Database::open(options).value();
  }
  static void set_schema(Database& database, std::uint64_t version) {
    rocksdb::WriteBatch batch;
    ASSERT_TRUE(batch
                    .Put(database.family(Family::kMeta),
                         std::string(internal::kSchemaKey),
                         internal::encode_number(version))
                    .ok());
    ASSERT_TRUE(database.write(batch, Durability::kSynced).has_value());
  }
};

TEST_F(OpenTest, MakesTheFolderWithItsParents) {
  StoreOptions options;
  options.folder = temporary_.path() / "a" / "b";
  EXPECT_TRUE(open_rocksdb_store(options).has_value());
  EXPECT_TRUE(open_rocksdb_store(options).has_value());
}

TEST_F(OpenTest, AFolderOpenInThisProcessIsRefused) {
  open();
  const Error error = error_of_opening();
  EXPECT_EQ(error.code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(error.message, HasSubstr(folder().string()));
  EXPECT_THAT(error.message, HasSubstr("another daemon"));
}

TEST_F(OpenTest, AFolderOpenInAnotherProcessIsRefusedThere) {
  open();
  StoreChild child({"open", folder().string()});
  const std::string answer = child.read_line();
  EXPECT_THAT(answer, StartsWith("failed_precondition: "));
  EXPECT_THAT(answer, HasSubstr(folder().string()));
  EXPECT_THAT(answer, HasSubstr("another daemon has this folder open"));
  // And it did no harm.
  EXPECT_TRUE(store->put_images({make_image("a")}).has_value());
}

TEST_F(OpenTest, AFileInPlaceOfTheFolderIsNamed) {
  std::ofstream(folder()) << "x";
  for (const bool read_only : {false, true}) {
    const Error error = error_of_opening(read_only);
    EXPECT_EQ(error.code, ErrorCode::kIo);
    EXPECT_THAT(error.message, HasSubstr(folder().string() + " is a file"));
  }
}

TEST_F(OpenTest, AFileInPlaceOfAParentIsNamed) {
  std::ofstream(folder()) << "x";
  StoreOptions options;
  options.folder = folder() / "deeper";
  const auto opened = open_rocksdb_store(options);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::kIo);
  EXPECT_THAT(opened.error().message, HasSubstr("Not a directory"));
}

TEST_F(OpenTest, AnUnwritableFolderIsPermissionDenied) {
  namespace fs = std::filesystem;
  fs::create_directory(folder());
  fs::permissions(temporary_.path(), fs::perms(0755));
  fs::permissions(folder(), fs::perms(0555));
  std::vector<std::string> arguments = {"open", folder().string()};
  // Root may write everywhere, so the child becomes nobody.
  if (::geteuid() == 0) arguments.emplace_back("65534");
  StoreChild in_folder(arguments);
  const std::string answer = in_folder.read_line();
  EXPECT_THAT(answer, StartsWith("permission_denied: "));
  EXPECT_THAT(answer, HasSubstr(folder().string()));
  // Neither may it be made there.
  arguments[1] = (folder() / "deeper").string();
  StoreChild below(arguments);
  const std::string below_answer = below.read_line();
  EXPECT_THAT(below_answer, StartsWith("permission_denied: "));
  EXPECT_THAT(below_answer, HasSubstr("deeper"));
  fs::permissions(folder(), fs::perms(0755));
}

TEST_F(OpenTest, ADamagedCurrentFileIsCorruption) {
  make_store_with_an_image();
  for (const char* content : {"", "garbage", "MANIFEST-999999\n"}) {
    std::ofstream(folder() / "CURRENT", std::ios::trunc) << content;
    const Error error = error_of_opening();
    EXPECT_THAT(error.message, HasSubstr("open store " + folder().string()));
    EXPECT_TRUE(error.code == ErrorCode::kCorruption ||
                error.code == ErrorCode::kIo)
        << to_string(error.code) << " " << error.message;
  }
}

TEST_F(OpenTest, AMissingCurrentFileDoesNotStartAfreshOverData) {
  make_store_with_an_image();
  std::filesystem::rename(folder() / "CURRENT", folder() / "aside");
  const Error error = error_of_opening();
  EXPECT_EQ(error.code, ErrorCode::kCorruption);
  EXPECT_THAT(error.message, HasSubstr("no CURRENT"));
  std::filesystem::rename(folder() / "aside", folder() / "CURRENT");
  open();
  EXPECT_TRUE(store->find(image_id("a")).value().has_value());
}

TEST_F(OpenTest, ReadOnlyNeedsAStore) {
  EXPECT_EQ(error_of_opening(true).code, ErrorCode::kNotFound);
  std::filesystem::create_directory(folder());
  EXPECT_EQ(error_of_opening(true).code, ErrorCode::kNotFound);
  EXPECT_TRUE(std::filesystem::is_empty(folder()));
}

TEST_F(OpenTest, ANewerSchemaIsRefusedAndLeftAsItIs) {
  make_store_with_an_image();
  set_schema(*open_database(), internal::kSchemaVersion + 1);
  for (const bool read_only : {false, true}) {
    const Error error = error_of_opening(read_only);
    EXPECT_EQ(error.code, ErrorCode::kFailedPrecondition);
    EXPECT_THAT(error.message, HasSubstr(folder().string()));
    EXPECT_THAT(error.message, HasSubstr("newer"));
  }
}

TEST_F(OpenTest, AStoreWithDataButWithoutASchemaVersionIsCorruption) {
  make_store_with_an_image();
  {
    const auto database = open_database();
    rocksdb::WriteBatch batch;
    ASSERT_TRUE(batch
                    .Delete(database->family(Family::kMeta),
                            std::string(internal::kSchemaKey))
                    .ok());
    ASSERT_TRUE(database->write(batch, Durability::kSynced).has_value());
  }
  const Error error = error_of_opening();
  EXPECT_EQ(error.code, ErrorCode::kCorruption);
  EXPECT_THAT(error.message, HasSubstr("schema version is missing"));
}

TEST_F(OpenTest, MigrationsRunInOrderFromTheRecordedVersion) {
  const auto database = open_database();
  set_schema(*database, 1);
  // Each step leaves a name; the second needs the first one's.
  static const auto add_name = [](Database& db, const char* name) {
    rocksdb::WriteBatch batch;
    EXPECT_TRUE(batch.Put(db.family(Family::kNames), name, "").ok());
    return db.write(batch, Durability::kSynced);
  };
  const std::vector<internal::Migration> steps = {
      {1, [](Database& db) { return add_name(db, "first"); }},
      {2, [](Database& db) -> Result<void> {
         const auto first = db.get(db.family(Family::kNames), "first");
         EXPECT_TRUE(first.value().has_value());
         return add_name(db, "second");
       }}};
  ASSERT_TRUE(internal::migrate(*database, steps, 3).has_value());
  EXPECT_TRUE(database->get(database->family(Family::kNames), "second")
                  .value()
                  .has_value());
  EXPECT_EQ(database->get(database->family(Family::kMeta), internal::kSchemaKey)
                .value(),
            internal::encode_number(3));
  // A version without a step from it is told.
  const auto no_step = internal::migrate(*database, steps, 4);
  ASSERT_FALSE(no_step.has_value());
  EXPECT_EQ(no_step.error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(OpenTest, AStepThatFailsStopsTheMigration) {
  const auto database = open_database();
  const std::vector<internal::Migration> steps = {
      {1, [](Database&) -> Result<void> { return io_error("no"); }}};
  EXPECT_EQ(internal::migrate(*database, steps, 2).error().code,
            ErrorCode::kIo);
  EXPECT_EQ(database->get(database->family(Family::kMeta), internal::kSchemaKey)
                .value(),
            internal::encode_number(1));
}

TEST_F(OpenTest, AValueThatDoesNotDecodeIsCorruptionNotACrash) {
  make_store_with_an_image();
  {
    const auto database = open_database();
    rocksdb::WriteBatch batch;
    ASSERT_TRUE(batch
                    .Put(database->family(Family::kImages),
                         std::string("\0\0\0\0\0\0\0\1", 8), "junk")
                    .ok());
    ASSERT_TRUE(database->write(batch, Durability::kSynced).has_value());
  }
  open();
  EXPECT_EQ(store->images({ImageSeq(1)}).error().code, ErrorCode::kCorruption);
}

}  // namespace
}  // namespace shoal::test
