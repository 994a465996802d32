#include "device-client/agent/time_record.h"

#include <gtest/gtest.h>

#include "tests/fakes/memory_file_system.h"

namespace sallyport::device {
namespace {

constexpr UnixTime kSigned = UnixTime::FromSeconds(1'800'000'000);
constexpr TimeRecord kRecord{kSigned, 5'000'000, 7};

pki::ClockInfo Clock(uint64_t clock_ms, uint32_t resets, bool safe = true) {
  return {clock_ms, resets, 0, safe};
}

TEST(EstimateTime, AddsWhatTheTpmRanSince) {
  EXPECT_EQ(EstimateTime(kRecord, Clock(5'060'000, 7)), kSigned + Minutes(1));
  EXPECT_EQ(EstimateTime(kRecord, Clock(5'060'000, 9)), kSigned + Minutes(1)) << "after resets";
  EXPECT_EQ(EstimateTime(kRecord, Clock(5'000'000, 7)), kSigned);
}

TEST(EstimateTime, SaysNothingAfterTheTpmWasCleared) {
  EXPECT_EQ(EstimateTime(kRecord, Clock(9'000'000, 6)), kSigned);
  EXPECT_EQ(EstimateTime(kRecord, Clock(1'000, 8)), kSigned);
}

TEST(EstimateTime, IsNeverBelowTheRecordHoweverAbsurdTheClock) {
  EXPECT_EQ(EstimateTime(kRecord, Clock(UINT64_MAX, 7)), kSigned);
  EXPECT_GE(EstimateTime(kRecord, Clock(INT64_MAX, 7)), kSigned);
}

TEST(TimeRecordFile, ComesBackAsItWasSaved) {
  MemoryFileSystem files;
  EXPECT_EQ(*LoadTimeRecord(files, "/state"), std::nullopt);
  ASSERT_TRUE(SaveTimeRecord(files, "/state", kRecord));
  EXPECT_EQ(*LoadTimeRecord(files, "/state"), kRecord);
}

TEST(TimeRecordFile, RefusesWhatDoesNotParse) {
  MemoryFileSystem files;
  ASSERT_TRUE(files.MakeDirectories("/state"));
  for (
      const std::string text :
      {"", "{}",
       R"({"sallyport":"trusted-time/v2","signed_time_ms":1,"tpm_clock_ms":1,)"
       R"("tpm_reset_count":1})",
       R"({"sallyport":"trusted-time/v1","signed_time_ms":-1,"tpm_clock_ms":1,"tpm_reset_count":1})",
       R"({"sallyport":"trusted-time/v1","signed_time_ms":1,"tpm_clock_ms":1})"}) {
    ASSERT_TRUE(WriteFileAtomically(files, "/state/trusted-time.json", AsBytes(text)));
    EXPECT_EQ(LoadTimeRecord(files, "/state").error().reason, Reason::kMalformed) << text;
  }
}

TEST(TimeRecordFile, HoldsTheOldOrTheNewOneAfterAPowerCut) {
  const TimeRecord newer{kSigned + Hours(1), 6'000'000, 8};
  for (const PowerLoss loss : {PowerLoss::kAll, PowerLoss::kOddSectors, PowerLoss::kDataOnly})
    for (uint64_t operations = 0;; ++operations) {
      MemoryFileSystem files;
      ASSERT_TRUE(SaveTimeRecord(files, "/state", kRecord));
      files.CutPowerAfter(operations);
      const bool saved = SaveTimeRecord(files, "/state", newer).has_value();
      files.Restart(loss);
      const auto held = LoadTimeRecord(files, "/state");
      ASSERT_TRUE(held) << operations << ": " << held.error().ToString();
      EXPECT_TRUE(*held == newer || (!saved && *held == kRecord)) << operations;
      if (saved) break;
    }
}

}  // namespace
}  // namespace sallyport::device
