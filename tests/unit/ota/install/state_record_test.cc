#include "ota/install/state_record.h"

#include "pki/crypto/hash.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

ReleaseDigest Release(int n) {
  return ReleaseDigest::FromArray(pki::Sha256(AsBytes(std::to_string(n))).array());
}

UpdateRecord Sample() {
  UpdateRecord record;
  record.seq = 7;
  record.state = UpdateState::kWriting;
  record.slot = Slot::kB;
  record.attempt = 2;
  record.release = Release(1);
  record.resume_offset = uint64_t{5} << 32;
  record.failed_releases = {Release(2), Release(3)};
  return record;
}

std::string_view RuleOf(const Bytes& sector) {
  const auto record = DecodeRecord(sector);
  return record ? "accepted" : record.error().rule;
}

// Sealed makes the digest right again after a change.
Bytes Sealed(Bytes sector) {
  sector.resize(kRecordSectorSize - 32);
  Append(sector, pki::Sha256(sector).view());
  return sector;
}

TEST(UpdateRecord, SurvivesARoundTrip) {
  const Bytes sector = EncodeRecord(Sample());

  EXPECT_EQ(sector.size(), kRecordSectorSize);
  EXPECT_EQ(*DecodeRecord(sector), Sample());
}

TEST(UpdateRecord, HasTheDocumentedLayout) {
  const Bytes sector = EncodeRecord(Sample());
  const std::string head =
      "53505552"
      "0001"
      "0000"
      "0000000000000007"
      "02"
      "01"
      "0002" +
      HexEncode(Release(1)) +
      "0000000500000000"
      "0002" +
      HexEncode(Release(2));
  EXPECT_EQ(HexEncode(ByteView(sector).first(head.size() / 2)), head);
}

TEST(UpdateRecord, RefusesEveryFlippedBit) {
  const Bytes good = EncodeRecord(Sample());
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_NE(RuleOf(bad), "accepted") << bit;
  }
}

TEST(UpdateRecord, RefusesAnotherSize) {
  Bytes sector = EncodeRecord(Sample());
  sector.push_back(0);
  EXPECT_EQ(RuleOf(sector), "record.size");
  sector.resize(kRecordSectorSize - 1);
  EXPECT_EQ(RuleOf(sector), "record.size");
}

TEST(UpdateRecord, NamesWhatIsWrong) {
  const Bytes good = EncodeRecord(Sample());
  const auto with = [&](size_t at, uint8_t value) {
    Bytes bad = good;
    bad[at] = value;
    return RuleOf(Sealed(bad));
  };
  EXPECT_EQ(with(0, 'X'), "record.magic");
  EXPECT_EQ(with(5, 2), "record.version");
  EXPECT_EQ(with(7, 1), "record.field");                   // reserved
  EXPECT_EQ(with(16, kUpdateStateCount), "record.field");  // state
  EXPECT_EQ(with(17, 2), "record.field");                  // slot
  EXPECT_EQ(with(61, kFailedReleasesMax + 1), "record.field");
  EXPECT_EQ(with(4000, 1), "record.field");  // padding
  EXPECT_EQ(RuleOf(Bytes(kRecordSectorSize)), "record.magic");
  Bytes unsealed = good;
  unsealed.back() ^= 1;
  EXPECT_EQ(RuleOf(unsealed), "record.digest");
}

TEST(UpdateRecord, ForgetsTheOldestFailureFirstAndCountsNoneTwice) {
  UpdateRecord record;
  for (int i = 0; i < 33; ++i) record.RememberFailed(Release(i));
  record.RememberFailed(Release(32));

  EXPECT_EQ(record.failed_releases.size(), kFailedReleasesMax);
  EXPECT_FALSE(record.HasFailed(Release(0)));
  EXPECT_TRUE(record.HasFailed(Release(1)) && record.HasFailed(Release(32)));
  EXPECT_EQ(*DecodeRecord(EncodeRecord(record)), record);
}

class RecordStoreTest : public ::testing::Test {
 protected:
  Bytes Content() { return *ReadFile(files_, "dir/record", 1 << 20); }
  void Overwrite(uint64_t at, const Bytes& bytes) {
    static_cast<void>(
        (*files_.Open("dir/record", OpenMode::kReadWrite))->WriteAt(at, bytes).has_value());
  }
  // SaveStates saves one record per state.
  void SaveStates(std::initializer_list<UpdateState> states) {
    UpdateRecord record = *store_.Load();
    for (const UpdateState state : states) {
      record.state = state;
      ASSERT_TRUE(store_.Save(record));
    }
  }
  UpdateState Loaded() { return store_.Load()->state; }

  MemoryFileSystem files_;
  RecordStore store_{files_, "dir/record"};
};

TEST_F(RecordStoreTest, IsIdleBeforeTheFirstRecord) { EXPECT_EQ(*store_.Load(), UpdateRecord{}); }

TEST_F(RecordStoreTest, ReturnsTheLastRecordAndKeepsTheOneBefore) {
  SaveStates({UpdateState::kPlanned, UpdateState::kWriting, UpdateState::kWritten});

  EXPECT_EQ(Loaded(), UpdateState::kWritten);
  EXPECT_EQ(store_.Load()->seq, 3u);
  EXPECT_EQ(Content().size(), 2 * kRecordSectorSize);
}

TEST_F(RecordStoreTest, FallsBackToTheOlderCopyWhenTheNewerIsDamaged) {
  SaveStates({UpdateState::kPlanned, UpdateState::kWriting, UpdateState::kWritten});
  Overwrite(100, Bytes(1, 0xff));  // the third record went to the first copy

  EXPECT_EQ(Loaded(), UpdateState::kWriting);
  SaveStates({UpdateState::kFailed});
  EXPECT_EQ(Loaded(), UpdateState::kFailed);
  EXPECT_EQ(store_.Load()->seq, 3u);
}

TEST_F(RecordStoreTest, RefusesTwoDamagedCopies) {
  SaveStates({UpdateState::kPlanned, UpdateState::kWriting});
  Overwrite(100, Bytes(1, 0xff));
  Overwrite(kRecordSectorSize + 100, Bytes(1, 0xff));

  EXPECT_EQ(store_.Load().error().rule, "record.unreadable");
}

TEST_F(RecordStoreTest, PassesOnAnUnreadableFile) {
  SaveStates({UpdateState::kPlanned});
  files_.FailReads("dir/record");

  EXPECT_EQ(store_.Load().error().reason, Reason::kUnavailable);
}

TEST_F(RecordStoreTest, UsesABlankPartitionAtItsOffset) {
  static_cast<void>((*files_.Open("raw", OpenMode::kCreate))
                        ->WriteAt(0, Bytes(5 * kRecordSectorSize))
                        .has_value());
  RecordStore raw(files_, "raw", 3 * kRecordSectorSize);
  UpdateRecord record = *raw.Load();
  record.state = UpdateState::kArmed;
  ASSERT_TRUE(raw.Save(record));
  ASSERT_TRUE(raw.Save(record));

  EXPECT_EQ(raw.Load()->state, UpdateState::kArmed);
  const Bytes content = *ReadFile(files_, "raw", 1 << 20);
  EXPECT_EQ(content.size(), 5 * kRecordSectorSize);
  EXPECT_TRUE(std::all_of(content.begin(), content.begin() + 3 * kRecordSectorSize,
                          [](uint8_t b) { return b == 0; }));
}

// Otherwise the next record would go over the only copy that is durable.
TEST_F(RecordStoreTest, MakesDurableWhatAKilledProcessLeft) {
  SaveStates({UpdateState::kPlanned, UpdateState::kWriting});
  UpdateRecord next = *store_.Load();
  next.state = UpdateState::kWritten;
  files_.CutPowerAfter(1);  // written, not flushed
  EXPECT_FALSE(store_.Save(next));
  files_.Survive("efivars/");
  RecordStore successor(files_, "dir/record");
  EXPECT_EQ(successor.Load()->state, UpdateState::kWritten);
  next.state = UpdateState::kVerified;
  files_.CutPowerAfter(1);
  EXPECT_FALSE(successor.Save(next));
  files_.Restart(PowerLoss::kOddSectors);
  EXPECT_EQ(Loaded(), UpdateState::kWritten);
}

TEST_F(RecordStoreTest, KeepsARecordThroughACutAtEveryOperation) {
  SaveStates({UpdateState::kPlanned});
  for (uint64_t cut = 0; cut < 3; ++cut) {
    const UpdateRecord before = *store_.Load();
    UpdateRecord next = before;
    next.state = UpdateState::kWriting;
    files_.CutPowerAfter(cut);
    const bool saved = store_.Save(next).has_value();
    files_.Restart(PowerLoss::kOddSectors);
    EXPECT_TRUE(*store_.Load() == before || *store_.Load() == next) << cut;
    if (saved) {
      EXPECT_EQ(*store_.Load(), next);
    }
  }
}

}  // namespace
}  // namespace sallyport::ota
