#include "engine/weights/pickle.h"

#include <initializer_list>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/bytes.h"

namespace shoal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

/// BINUNICODE
std::string text(const std::string& value) {
  return ByteWriter().raw("X").string(value).take();
}

/// LONG1 with eight bytes
std::string integer(std::int64_t value) {
  return ByteWriter().raw("\x8a\x08").number(value).take();
}

std::string tuple(std::initializer_list<std::int64_t> values) {
  std::string bytes = "(";
  for (const std::int64_t value : values) bytes += integer(value);
  return bytes + "t";
}

std::string storage(const std::string& type, const std::string& key,
                    std::int64_t count) {
  return "(" + text("storage") + "ctorch\n" + type + "\n" + text(key) +
         text("cpu") + integer(count) + "tQ";
}

/// A tensor over a storage of `count` floats.
std::string tensor(std::int64_t count, std::int64_t offset,
                   std::initializer_list<std::int64_t> shape,
                   std::initializer_list<std::int64_t> strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" +
         storage("FloatStorage", "0", count) + integer(offset) + tuple(shape) +
         tuple(strides) + "\x89" + "ccollections\nOrderedDict\n)RtR";
}

void expect_refused(const std::string& bytes, ErrorCode code,
                    const std::string& message) {
  const auto pickle = parse_pickle(bytes);
  ASSERT_FALSE(pickle) << message;
  EXPECT_EQ(pickle.error().code, code) << pickle.error().message;
  EXPECT_THAT(pickle.error().message, HasSubstr(message));
  EXPECT_THAT(pickle.error().message, HasSubstr("at byte "));
}

void expect_corrupt(const std::string& bytes, const std::string& message) {
  expect_refused(bytes, ErrorCode::kCorruption, message);
}

TEST(Pickle, ReadsPlainValues) {
  const std::string bytes =
      std::string("\x80\x02", 2) + "(" + "N" + "\x88" + integer(-5) + "K\x07" +
      std::string("M\x01\x02") + std::string("J\xff\xff\xff\xff") + "I-12\n" +
      "L345L\n" + "I01\n" + std::string("G\x3f\xf8\0\0\0\0\0\0", 9) +
      text("name") + "l.";
  // 'l' is protocol 0's list, which torch.save does not write.
  expect_refused(bytes, ErrorCode::kUnsupported, "operation 0x6c");

  std::string good = bytes;
  good[good.size() - 2] = 't';
  const std::string followed = good + "more";
  const auto pickle = parse_pickle(followed);
  ASSERT_TRUE(pickle) << pickle.error().message;
  const Pickle& p = pickle.value();
  EXPECT_EQ(p.size_bytes, good.size());
  const PickleValue& root = p.at(p.root);
  ASSERT_EQ(root.kind, PickleKind::kTuple);
  ASSERT_EQ(root.items.size(), 11U);
  const auto item = [&](std::size_t i) { return p.at(root.items[i]); };
  EXPECT_EQ(item(0).kind, PickleKind::kNone);
  EXPECT_EQ(item(1).kind, PickleKind::kBool);
  EXPECT_EQ(item(1).integer, 1);
  EXPECT_EQ(item(2).integer, -5);
  EXPECT_EQ(item(3).integer, 7);
  EXPECT_EQ(item(4).integer, 513);
  EXPECT_EQ(item(5).integer, -1);
  EXPECT_EQ(item(6).integer, -12);
  EXPECT_EQ(item(7).integer, 345);
  EXPECT_EQ(item(8).kind, PickleKind::kBool);
  EXPECT_EQ(item(9).number, 1.5);
  EXPECT_EQ(item(10).text, "name");
}

TEST(Pickle, ReadsTensorsOverStorages) {
  const auto pickle = parse_pickle(std::string("\x80\x02}(", 4) + text("a") +
                                   tensor(24, 0, {2, 3}, {3, 1}) + text("b") +
                                   tensor(24, 6, {3, 2}, {1, 3}) + "u.");
  ASSERT_TRUE(pickle) << pickle.error().message;
  const Pickle& p = pickle.value();
  ASSERT_EQ(p.storages.size(), 1U);
  EXPECT_EQ(p.storages[0].key, "0");
  EXPECT_EQ(p.storages[0].count, 24U);
  ASSERT_EQ(p.tensors.size(), 2U);
  EXPECT_EQ(p.tensors[1].offset, 6);
  EXPECT_THAT(p.tensors[1].shape, ElementsAre(3, 2));
  EXPECT_THAT(p.tensors[1].strides, ElementsAre(1, 3));
  EXPECT_EQ(p.at(p.root).items.size(), 4U);
}

TEST(Pickle, NamesOutsideTheListAreRefusedByName) {
  const auto refused = [](const std::string& bytes, const std::string& name) {
    expect_refused(bytes, ErrorCode::kPermissionDenied,
                   name + " is not allowed in a weights file");
  };
  refused("cposix\nsystem\n(X\x02\0\0\0lstR.", "posix.system");
  refused("c__builtin__\neval\n.", "__builtin__.eval");
  refused("cbuiltins\ngetattr\n.", "builtins.getattr");
  refused(text("os") + text("system") + "\x93.", "os.system");
  refused("ctorch\nload\n.", "torch.load");
  refused("ctorch._utils\n_rebuild_qtensor\n.",
          "torch._utils._rebuild_qtensor");
  refused("ctorch.storage\n_load_from_bytes\n.", "_load_from_bytes");
  refused("ccollections\ndefaultdict\n.", "collections.defaultdict");
  refused("cos\x1b[31m\nx\n.", "os?[31m.x");
  refused("c\n\n.", ".");
}

TEST(Pickle, WaysToMakeObjectsAreRefused) {
  // INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, EXT2, EXT4, PERSID, GET, PUT, POP,
  // DUP, POP_MARK, STRING, UNICODE, EMPTY_SET, FROZENSET, BYTEARRAY8,
  // NEXT_BUFFER, READONLY_BUFFER, and bytes that mean nothing.
  for (const char code :
       {'i',    'o',    '\x81', '\x92', '\x82', '\x83', '\x84', 'P',
        'g',    'p',    '0',    '2',    '1',    'S',    'V',    '\x8f',
        '\x91', '\x96', '\x97', '\x98', '\0',   'z',    '\xff'}) {
    expect_refused(std::string(1, code), ErrorCode::kUnsupported,
                   "is not one that weights files have");
  }
  expect_corrupt("N)R.", "calls something that is no function");
  expect_corrupt("ctorch\nFloatStorage\n)R.", "which is no function");
  expect_corrupt("ccollections\nOrderedDict\nNR.", "no function");
  expect_corrupt("N}b.", "attributes are set on something else");
  expect_corrupt("ctorch._utils\n_rebuild_parameter\n)R.",
                 "something else than a tensor");
  expect_refused("\x80\x06N.", ErrorCode::kUnsupported, "protocol is 6");
}

TEST(Pickle, ClaimedSizesAreCheckedBeforeMemoryIsTaken) {
  const std::string huge(8, '\x7f');
  expect_corrupt("X\xff\xff\xff\xff", "4294967295 bytes are wanted");
  expect_corrupt("B\xff\xff\xff\xff", "bytes are wanted");
  expect_corrupt("T\xff\xff\xff\xff", "bytes are wanted");
  expect_corrupt("\x8b\xff\xff\xff\xff", "bytes are wanted");
  expect_corrupt("\x8d" + huge, "bytes are wanted and 0 are left");
  expect_corrupt("\x8e" + huge, "bytes are wanted");
  expect_corrupt("\x95" + huge, "a frame is cut short");
  expect_corrupt("c" + std::string(100'000, 'a'), "a line does not end");
  expect_corrupt("I" + std::string(200, '1') + "x\n.", "not written in digits");
  expect_corrupt("X\x02\0\0\0\xff\xff." + huge, "wanted");
  expect_corrupt(std::string("X\x01\0\0\0\xff.", 7), "not UTF-8");
}

TEST(Pickle, ValuesThatHoldThemselvesNeitherHangNorLeak) {
  expect_corrupt(std::string("]q\0h\0a.", 7), "contains itself");
  expect_corrupt(std::string("}q\0X\0\0\0\0h\0s.", 12), "contains itself");
  // By way of a tuple: known as a finite number of values.
  const auto pickle =
      parse_pickle(std::string("]q\0h\0\x85"
                               "a.",
                               8));
  ASSERT_TRUE(pickle) << pickle.error().message;
  EXPECT_EQ(pickle.value().values.size(), 2U);
}

TEST(Pickle, DeepNestingIsRefused) {
  expect_refused(std::string(1'000'000, '('), ErrorCode::kResourceExhausted,
                 "groups are nested more than 100 deep");
  expect_refused(std::string(200'000, ']') + std::string(199'999, 'a') + ".",
                 ErrorCode::kResourceExhausted,
                 "values are nested more than 100 deep");
  expect_refused("N" + std::string(200'000, '\x85') + ".",
                 ErrorCode::kResourceExhausted, "nested more than 100 deep");
  expect_refused("(" + std::string(2'000'000, 'N') + "t.",
                 ErrorCode::kResourceExhausted, "1000000 operations");
}

TEST(Pickle, SharedValuesDoNotMultiply) {
  // Ninety lists, each ten times the one before: 10^90 if written out.
  std::string laughs = std::string("]q\0", 3);
  for (int level = 0; level < 90; ++level) {
    laughs += "](";
    for (int i = 0; i < 10; ++i) laughs += std::string("h\0", 2);
    laughs += std::string("eq\0", 3);
  }
  // The lists in between stay on the stack, so they are put in a tuple.
  const auto pickle = parse_pickle("(" + laughs + "t.");
  ASSERT_TRUE(pickle) << pickle.error().message;
  EXPECT_LT(pickle.value().values.size(), 100U);

  // One list of pairs made into dict after dict.
  std::string dicts = "(](";
  for (int i = 0; i < 50'000; ++i) dicts += "NN\x86";
  dicts += std::string("eq\0", 3);
  for (int i = 0; i < 50'000; ++i) {
    dicts += std::string("ccollections\nOrderedDict\nh\0\x85R", 29);
  }
  expect_refused(dicts + "t.", ErrorCode::kResourceExhausted,
                 "containers hold more than");

  std::string memo = "N";
  for (std::uint32_t i = 0; i < 600'000; ++i) {
    memo += ByteWriter().raw("r").number(i).take();
  }
  expect_refused(memo + ".", ErrorCode::kResourceExhausted, "remembers more");
}

TEST(Pickle, TensorsOutsideTheirStorageAreRefused) {
  const auto good = [](const std::string& bytes) {
    const auto pickle = parse_pickle(bytes + ".");
    EXPECT_TRUE(pickle) << pickle.error().message;
  };
  good(tensor(6, 0, {2, 3}, {3, 1}));
  good(tensor(6, 5, {}, {}));
  good(tensor(6, 6, {0, 3}, {3, 1}));
  good(tensor(6, 1, {2, 1, 2}, {3, 99, 1}));
  const auto bad = [](const std::string& bytes, const std::string& message) {
    expect_corrupt(bytes + ".", message);
  };
  bad(tensor(5, 0, {2, 3}, {3, 1}), "past the end of its storage");
  bad(tensor(6, 1, {2, 3}, {3, 1}), "past the end of its storage");
  bad(tensor(6, 6, {}, {}), "begins outside its storage");
  bad(tensor(6, 7, {0}, {1}), "begins outside its storage");
  bad(tensor(6, -1, {2}, {1}), "begins outside its storage");
  bad(tensor(6, kMax, {2}, {1}), "begins outside its storage");
  bad(tensor(6, 0, {-2}, {1}), "negative");
  bad(tensor(6, 5, {2}, {-1}), "negative");
  bad(tensor(6, 0, {2}, {kMax}), "past the end");
  bad(tensor(6, 0, {kMax}, {1}), "past the end");
  bad(tensor(kMax, 0, {kMax, kMax}, {kMax, 1}), "shape overflows");
  bad(tensor(6, 0, {kMax, kMax, 0}, {1, 1, 1}), "shape overflows");
  bad(tensor(6, 0, {1'000'000}, {0}), "elements overlap");
  bad(tensor(6, 0, {2, 2}, {1, 1}), "elements overlap");
  bad(tensor(6, 0, {2, 3}, {1, 1}), "elements overlap");
  bad(tensor(6, 0, {2, 3}, {3}), "a tensor is not (storage, offset");
  bad(tensor(0, 0, {1}, {1}), "begins outside its storage");
}

TEST(Pickle, StoragesMustBeConsistent) {
  const auto two = [](const std::string& a, const std::string& b) {
    return a + b + "\x86.";
  };
  expect_corrupt(
      two(storage("FloatStorage", "0", 4), storage("HalfStorage", "0", 4)),
      "storage 0 has two types or sizes");
  expect_corrupt(
      two(storage("FloatStorage", "0", 4), storage("FloatStorage", "0", 5)),
      "storage 0 has two types or sizes");
  expect_corrupt(storage("FloatStorage", "0", -4) + ".", "a storage is not");
  expect_corrupt("NQ.", "a storage is not");
  expect_corrupt("(" + text("storage") + "N" + text("0") + text("cpu") +
                     integer(1) + "tQ.",
                 "a storage has no class");
  expect_refused("(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") +
                     text("cpu") + integer(1) + ")tQ.",
                 ErrorCode::kUnsupported, "view of another storage");
}

TEST(Pickle, AStackThatDoesNotAddUpIsRefused) {
  expect_corrupt("", "1 bytes are wanted and 0 are left");
  expect_corrupt(".", "more or less than one value");
  expect_corrupt("NN.", "more or less than one value");
  expect_corrupt("(N.", "more or less than one value");
  expect_corrupt("t.", "a group has no begin");
  expect_corrupt("a.", "a value is missing");
  expect_corrupt("N(a.", "a value is missing");
  expect_corrupt("NNa.", "something else than a list");
  expect_corrupt("]NNs.", "something else than a dict");
  expect_corrupt("}(Nu.", "do not come in pairs");
  expect_corrupt(std::string("h\0.", 3), "did not remember");
  expect_corrupt(std::string("(q\0.", 4), "a value is missing");
}

TEST(Pickle, CutShortAnywhereIsRefused) {
  const std::string good = std::string("\x80\x02}(", 4) + text("a") +
                           tensor(6, 0, {2, 3}, {3, 1}) + "u.";
  ASSERT_TRUE(parse_pickle(good));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_pickle(good.substr(0, size))) << size;
  }
}

TEST(Pickle, RandomChangesNeverDoHarm) {
  const std::string good = std::string("\x80\x02}(", 4) + text("a") +
                           tensor(24, 3, {2, 3}, {3, 1}) + text("b") +
                           tensor(24, 0, {4, 2}, {1, 4}) + "u.";
  std::mt19937 random(3);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto pickle = parse_pickle(bytes);
    if (!pickle) continue;
    ++accepted;
    for (const PickledTensor& tensor : pickle.value().tensors) {
      EXPECT_LT(tensor.storage, pickle.value().storages.size());
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace shoal
