#include "pki/tpm/measurement_list.h"

#include <gtest/gtest.h>

#include "tests/fakes/vector_file.h"

namespace sallyport::pki {
namespace {

// The kernel of a virtual machine wrote it: boot_aggregate and 27 modules.
Bytes RealList() { return VectorFile("ovmf/uki-sb-on-snakeoil/ima_binary.bin"); }
constexpr uint64_t kRealEntries = 28;

Result<uint64_t> Count(ByteView list) {
  ByteReader in(list, "list");
  uint64_t count = 0;
  for (; in.remaining() > 0; ++count) SP_TRY(ReadMeasuredEntry(in));
  return count;
}

std::string RuleOf(ByteView list) {
  const Result<uint64_t> count = Count(list);
  return count ? "" : std::string(count.error().rule);
}

TEST(ReadMeasuredEntry, ReadsARealListAndWritesItBack) {
  const Bytes list = RealList();
  ByteReader in(list, "list");
  ByteWriter again;
  while (in.remaining() > 0) WriteMeasuredEntry(ReadMeasuredEntry(in).value(), again);

  EXPECT_EQ(again.bytes(), list);
  EXPECT_EQ(Count(list).value(), kRealEntries);
}

TEST(ReadMeasuredEntry, RefusesTruncationAtEveryByteButTheEndOfAnEntry) {
  const Bytes list = RealList();
  size_t whole = 0;
  for (size_t size = 0; size < list.size(); ++size) {
    const std::string rule = RuleOf(ByteView(list).first(size));
    if (rule.empty())
      ++whole;
    else
      EXPECT_EQ(rule, "ima.structure") << size;
  }
  EXPECT_EQ(whole, kRealEntries);  // none, or some of them
}

TEST(ReadMeasuredEntry, RefusesSizesThatLieWithoutReadingThem) {
  for (const uint32_t size : {33u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    ByteWriter list;
    list.LittleU32(10).Raw(Bytes(20, 1)).LittleU32(size).Raw(Bytes(64, 'a'));
    EXPECT_EQ(RuleOf(list.bytes()), "ima.structure");
  }
  for (const uint32_t size : {8193u, 0x80000000u, 0xFFFFFFFFu}) {
    ByteWriter list;
    list.LittleU32(10).Raw(Bytes(20, 1)).LittleU32(6).Raw(AsBytes("ima-ng")).LittleU32(size);
    list.Raw(Bytes(9000, 'a'));
    EXPECT_EQ(RuleOf(list.bytes()), "ima.structure");
  }
}

TEST(ReadMeasuredEntry, RefusesTheOldTemplateByName) {
  ByteWriter list;
  list.LittleU32(10).Raw(Bytes(20, 1)).LittleU32(3).Raw(AsBytes("ima")).Raw(Bytes(30, 0));

  EXPECT_EQ(RuleOf(list.bytes()), "ima.template");
}

TEST(ReadMeasuredEntry, KnowsAViolationByItsZeros) {
  EXPECT_TRUE((MeasuredEntry{10, Bytes(20, 0), "ima-ng", {}}.violation()));
  Bytes digest(20, 0);
  digest.back() = 1;
  EXPECT_FALSE((MeasuredEntry{10, digest, "ima-ng", {}}.violation()));
}

TEST(AfterEntries, CutsAtEachEntryAndSaysWhenThereAreFewer) {
  const Bytes list = RealList();
  for (uint64_t count = 0; count <= kRealEntries; ++count)
    EXPECT_EQ(Count(**AfterEntries(list, count)).value(), kRealEntries - count);

  EXPECT_FALSE(AfterEntries(list, kRealEntries + 1)->has_value());
  EXPECT_FALSE(AfterEntries({}, UINT64_MAX)->has_value());
  EXPECT_EQ(AfterEntries(ByteView(list).first(10), 1).error().rule, "ima.structure");
}

}  // namespace
}  // namespace sallyport::pki
