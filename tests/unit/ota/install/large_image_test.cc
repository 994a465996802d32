// Images above 4 GiB: a sparse slot, of which only what is written takes memory.
#include <map>

#include "ota/payload/codec.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/install_plan_for_test.h"
#include "tests/fakes/update_world.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kFourGib = uint64_t{4} << 30;
constexpr size_t kTail = 4096;
constexpr uint64_t kSlotSize = kFourGib + (1 << 20);
using Written = std::map<uint64_t, Bytes>;

class SparseSlots final : public BlockTargetOpener {
 public:
  class Target final : public BlockTarget {
   public:
    Target(Written& written, unsigned& syncs) : written_(written), syncs_(syncs) {}
    Result<uint64_t> Size() override { return kSlotSize; }
    Result<Unit> WriteAt(uint64_t offset, ByteView bytes) override {
      written_[offset] = ToBytes(bytes);
      return Unit{};
    }
    Result<Unit> Sync() override {
      if (syncs_-- > 0) return Unit{};
      return Error{Reason::kUnavailable, "the medium is gone"};
    }
    Result<Unit> DropCache() override { return Unit{}; }
    Result<Unit> ReadAt(uint64_t offset, std::span<uint8_t> out) override {
      std::ranges::fill(out, uint8_t{0});
      for (const auto& [at, bytes] : written_)
        if (at >= offset && at + bytes.size() <= offset + out.size())
          std::ranges::copy(bytes, out.begin() + static_cast<ptrdiff_t>(at - offset));
      return Unit{};
    }

   private:
    Written& written_;
    unsigned& syncs_;
  };
  explicit SparseSlots(unsigned syncs = 100) : syncs_(syncs) {}
  Result<std::unique_ptr<BlockTarget>> Open(const std::string&) override {
    return std::unique_ptr<BlockTarget>(std::make_unique<Target>(written_, syncs_));
  }
  const Written& written() const { return written_; }

 private:
  Written written_;
  unsigned syncs_;  // that succeed
};

// Large is 4 GiB of zeros and one block of text behind them.
TestRelease Large() {
  Bytes tail(kTail);
  for (size_t i = 0; i < kTail; ++i) tail[i] = static_cast<uint8_t>((i * 7 + 3) % 251);
  const Bytes zeros(static_cast<size_t>(kSegmentSizeMax));
  const Sha256Digest zero_digest = pki::Sha256(zeros);
  std::vector<Segment> segments;
  for (uint64_t at = 0; at < kFourGib; at += kSegmentSizeMax)
    segments.push_back(
        {at, kSegmentSizeMax, zero_digest, 0, 0, pki::Sha256(Bytes()), CodecId::kZero});
  const Bytes data = *MakeZstdCodec(3)->Encode(tail);
  segments.push_back(
      {kFourGib, kTail, pki::Sha256(tail), 0, data.size(), pki::Sha256(data), CodecId::kZstd});
  // Of the 4 GiB and the block, computed once with another program.
  const Sha256Digest digest = *Sha256Digest::FromView(
      *HexDecode("840311738154e3135551783b68bd699c9cb6f3981ddf6338770bf7baba6d4108"));
  const auto table =
      SegmentTable::Make(kFourGib + kTail, digest, kSegmentSizeMax, std::move(segments));
  EXPECT_TRUE(table) << table.error().ToString();
  TestRelease release = MakeTestRelease("2.0.0", 2);
  release.index = table->ToJson();
  release.payload = data;
  InstallFacts facts = release.plan.facts();
  facts.image_length = kFourGib + kTail;
  facts.image_sha256 = digest;
  facts.index.length = release.index.size();
  facts.index.sha256 = pki::Sha256(AsBytes(release.index));
  facts.payload.length = data.size();
  facts.payload.sha256 = pki::Sha256(data);
  release.plan = InstallPlanForTest::Make(std::move(facts));
  release.image = tail;
  return release;
}

// SaveWriting records that `release` is being written, durable up to `offset`.
void SaveWriting(UpdateWorld& world, const TestRelease& release, uint64_t offset) {
  UpdateRecord record;
  record.state = UpdateState::kWriting;
  record.slot = Slot::kB;
  record.release = release.plan.facts().release;
  record.resume_offset = offset;
  ASSERT_TRUE(world.record().Save(record));
}

TEST(LargeImage, IsWrittenResumedAndReadBackBeyondFourGib) {
  UpdateWorld world(MakeTestRelease("1.0.0", 1));
  const TestRelease release = Large();
  SaveWriting(world, release, kFourGib);
  SparseSlots slots;
  Installer installer({world.files(), slots, world.boot(), world.record()}, world.Config());
  ReleaseSource source(release);

  const auto installed = installer.Install(release.plan, source);

  ASSERT_TRUE(installed) << installed.error().ToString();
  EXPECT_EQ(slots.written(), (Written{{kFourGib, release.image}}));
  EXPECT_EQ(installer.Record()->resume_offset, kFourGib + kTail);
  EXPECT_EQ(StateName(installer.Record()->state), "VERIFIED");
}

TEST(LargeImage, RemembersACheckpointBeyondFourGib) {
  UpdateWorld world(MakeTestRelease("1.0.0", 1));
  const TestRelease release = Large();
  SaveWriting(world, release, kFourGib);
  SparseSlots slots(1);
  InstallerConfig config = world.Config();
  config.checkpoint_bytes = 1;
  Installer installer({world.files(), slots, world.boot(), world.record()}, config);
  ReleaseSource source(release);

  EXPECT_FALSE(installer.Install(release.plan, source));
  EXPECT_EQ(StateName(installer.Record()->state), "WRITING");
  EXPECT_EQ(installer.Record()->resume_offset, kFourGib + kTail);
}

TEST(LargeImage, NeedsASlotBeyondFourGib) {
  UpdateWorld world(MakeTestRelease("1.0.0", 1));
  SparseSlots slots;
  Installer installer({world.files(), slots, world.boot(), world.record()}, world.Config());
  InstallFacts facts = MakeTestRelease("2.0.0", 2).plan.facts();
  facts.image_length = kSlotSize;
  EXPECT_TRUE(FirstFailure(*installer.Preflight(&facts)));
  facts.image_length = kSlotSize + 1;
  EXPECT_EQ(FirstFailure(*installer.Preflight(&facts)).error().rule, "install.slot-size");
}

}  // namespace
}  // namespace sallyport::ota
