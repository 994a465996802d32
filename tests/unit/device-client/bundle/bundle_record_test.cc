#include "device-client/bundle/bundle_record.h"

#include <gtest/gtest.h>

#include "pki/crypto/hash.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::device {
namespace {

BundleRecord Sample() {
  BundleRecord out;
  out.taken.insert({"usb", {7, pki::Sha256(AsBytes("seven")), false}});
  out.taken.insert({"service", {2, pki::Sha256(AsBytes("two")), true}});
  out.over_manifest = (uint64_t{1} << 32) + 5;
  out.known_release = ToBytes("release.json");
  out.active = ActiveBundle{"0011",
                            "/media/stick/sallyport",
                            "usb",
                            ReleaseDigest::FromArray(pki::Sha256(AsBytes("release")).array()),
                            UnixTime::FromSeconds(1'790'000'000),
                            {{"metadata/timestamp.json", ToBytes("{}")}}};
  return out;
}

TEST(BundleRecords, ReadBackAsWritten) {
  const BundleRecord read = *DecodeBundleRecord(EncodeBundleRecord(Sample()));
  EXPECT_EQ(read.taken.at("usb").serial, 7U);
  EXPECT_FALSE(read.taken.at("usb").finished);
  EXPECT_TRUE(read.taken.at("service").finished);
  EXPECT_EQ(read.taken.at("service").statement, pki::Sha256(AsBytes("two")));
  EXPECT_EQ(read.over_manifest, Sample().over_manifest);
  EXPECT_EQ(read.active->folder, "/media/stick/sallyport");
  EXPECT_EQ(read.active->proof, Sample().active->proof);
  EXPECT_EQ(EncodeBundleRecord(read), EncodeBundleRecord(Sample()));
}

TEST(BundleRecords, AreRefusedWhenCutAtAnyByteOrLonger) {
  Bytes good = EncodeBundleRecord(Sample());
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(DecodeBundleRecord(ByteView(good).first(size))) << size;
  good.push_back(0);
  EXPECT_FALSE(DecodeBundleRecord(good));
}

TEST(BundleRecords, OfAnotherVersionAreRefusedByName) {
  Bytes bytes = EncodeBundleRecord(Sample());
  bytes[5] = 2;
  EXPECT_EQ(DecodeBundleRecord(bytes).error().name(), "bundle.record-version");
}

TEST(BundleRecords, HoldTheOldOrTheNewAfterAPowerCut) {
  for (uint64_t cut = 0; cut < 10; ++cut) {
    for (const PowerLoss loss : {PowerLoss::kAll, PowerLoss::kOddSectors, PowerLoss::kDataOnly}) {
      MemoryFileSystem files;
      ASSERT_TRUE(files.MakeDirectories("/state"));
      ASSERT_TRUE(SaveBundleRecord(files, "/state", Sample()));
      BundleRecord next = Sample();
      next.taken.at("usb").serial = 8;
      files.CutPowerAfter(cut);
      const bool saved = SaveBundleRecord(files, "/state", next).has_value();
      files.Restart(loss);
      const uint64_t serial = LoadBundleRecord(files, "/state")->taken.at("usb").serial;
      EXPECT_TRUE(serial == 8 || (serial == 7 && !saved)) << cut;
    }
  }
}

TEST(BundleRecords, ADamagedOneIsNotTakenForAnEmptyOne) {
  MemoryFileSystem files;
  ASSERT_TRUE(files.MakeDirectories("/state"));
  EXPECT_TRUE(LoadBundleRecord(files, "/state")->taken.empty());
  ASSERT_TRUE(WriteFileAtomically(files, "/state/bundles", AsBytes("")));
  EXPECT_FALSE(LoadBundleRecord(files, "/state"));
}

}  // namespace
}  // namespace sallyport::device
