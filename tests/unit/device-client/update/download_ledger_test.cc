#include "device-client/update/download_ledger.h"

#include <gtest/gtest.h>

#include "tests/fakes/memory_file_system.h"
#include "tests/unit/device-client/update/fake_origin.h"

namespace sallyport::device {
namespace {

class SourceOfMemory final : public ota::PayloadSource {
 public:
  Result<Unit> Fetch(const ota::RemoteFile&, uint64_t, uint64_t length,
                     ota::ByteSink& sink) override {
    if (fails) return Error{Reason::kUnavailable, "broke off", "content.truncated"};
    return sink.Write(Bytes(length));
  }
  bool fails = false;
};

class DownloadLedgerTest : public ::testing::Test {
 protected:
  DownloadLedgerTest() { SP_CHECK(files.MakeDirectories("/state").has_value()); }
  DownloadLedger Make() {
    return DownloadLedger({files, "/state/download.json", Days(7), [this] { return now; }}, source);
  }
  ota::RemoteFile FileOf(const std::string& version) {
    return {"releases/edge-os/" + version + "/payload.bin", 10, pki::Sha256(Bytes())};
  }
  MemoryFileSystem files;
  SourceOfMemory source;
  CollectingSink sink;
  std::optional<UnixTime> now = UnixTime::FromSeconds(1'700'000'000);
};

TEST_F(DownloadLedgerTest, CountsFromTheFirstRequestOverEveryBoot) {
  const UnixTime begun = *now;
  ASSERT_TRUE(Make().Fetch(FileOf("2.0.0"), 0, 10, sink));
  now = begun + Days(3);
  files.Restart();
  DownloadLedger ledger = Make();
  ASSERT_TRUE(ledger.Fetch(FileOf("2.0.0"), 0, 10, sink));
  EXPECT_EQ(ledger.status().since, begun);
  EXPECT_EQ(ledger.status().release, "releases/edge-os/2.0.0");
  EXPECT_EQ(ledger.status().received, 10u);
  EXPECT_FALSE(ledger.status().late);
}

TEST_F(DownloadLedgerTest, SaysHowLateItIsAndGoesOn) {
  DownloadLedger ledger = Make();
  ASSERT_TRUE(ledger.Fetch(FileOf("2.0.0"), 0, 10, sink));
  now = *now + Days(7);
  ASSERT_TRUE(ledger.Fetch(FileOf("2.0.0"), 0, 10, sink));
  EXPECT_FALSE(ledger.status().late);
  now = *now + Milliseconds(1);
  ASSERT_TRUE(ledger.Fetch(FileOf("2.0.0"), 0, 10, sink));
  EXPECT_TRUE(ledger.status().late);
  source.fails = true;
  const auto got = ledger.Fetch(FileOf("2.0.0"), 0, 10, sink);
  EXPECT_EQ(got.error().rule, "content.truncated");
  EXPECT_NE(got.error().detail.find("late, loading since 2023-11-14T22:13:20Z"), std::string::npos);
}

TEST_F(DownloadLedgerTest, BeginsAnewWithAnotherRelease) {
  DownloadLedger ledger = Make();
  ASSERT_TRUE(ledger.Fetch(FileOf("2.0.0"), 0, 10, sink));
  now = *now + Days(8);
  ASSERT_TRUE(ledger.Fetch(FileOf("2.0.1"), 0, 10, sink));
  EXPECT_FALSE(ledger.status().late);
  EXPECT_EQ(ledger.status().since, *now);
}

TEST_F(DownloadLedgerTest, CountsNothingWhileTheTimeIsUnsure) {
  const std::optional<UnixTime> sure = now;
  now = std::nullopt;
  DownloadLedger ledger = Make();
  ASSERT_TRUE(ledger.Fetch(FileOf("2.0.0"), 0, 10, sink));
  EXPECT_FALSE(ledger.status().since);
  now = sure;
  ASSERT_TRUE(ledger.Fetch(FileOf("2.0.0"), 0, 10, sink));
  EXPECT_EQ(ledger.status().since, *sure);
}

TEST_F(DownloadLedgerTest, TakesAFileThatDoesNotParseForNone) {
  for (const char* text :
       {"", "{", "{}", R"({"release":"releases/edge-os/2.0.0","since":"then"})"}) {
    SP_CHECK(WriteFileAtomically(files, "/state/download.json", AsBytes(std::string_view(text)))
                 .has_value());
    EXPECT_TRUE(Make().Fetch(FileOf("2.0.0"), 0, 10, sink)) << text;
  }
}

}  // namespace
}  // namespace sallyport::device
