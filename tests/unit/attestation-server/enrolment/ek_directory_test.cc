#include "attestation-server/enrolment/ek_directory.h"

#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

class EkDirectoryTest : public testing::Test {
 protected:
  void Put(const std::string& name, const Bytes& bytes) {
    ASSERT_TRUE(WriteFileAtomically(files_, "/roots/" + name, bytes).has_value());
  }
  std::string_view Rule() {
    const auto read = ReadEkDirectory(files_, "/roots");
    return read.has_value() ? "" : read.error().name();
  }
  EkDirectory Bundle(uint64_t version, const Bytes& content) {
    EkDirectory out;
    out.version = version;
    out.certificates = {{"NTC", std::to_string(version) + ".pem", content}};
    return out;
  }

  MemoryFileSystem files_;
  const FakeTpmVendor vendor_;
  const Bytes nuvoton_ = VectorFile("ek/NUVO_2111.pem");
  const Bytes globalsign_ = VectorFile("ek/GS_TPM_RT.pem");
};

TEST_F(EkDirectoryTest, TakesCertificatesAndListsAndLeavesTheRest) {
  Put("nuvoton.pem", nuvoton_);
  Put("st", globalsign_);
  Put("upper.CER", vendor_.root_der());
  Put("list.crl", vendor_.Crl());
  Put("README.md", ToBytes("about"));
  Put("sources.yaml", ToBytes("vendors:"));
  const EkDirectory read = ReadEkDirectory(files_, "/roots").value();
  EXPECT_EQ(read.certificates.size(), 3u);
  EXPECT_EQ(read.revocation_lists.size(), 1u);
  EXPECT_EQ(LoadEkRoots(files_, "/roots")->anchor_count(), 3u);
}

TEST_F(EkDirectoryTest, RefusesMoreFilesThanAllVendorsPublish) {
  for (int i = 0; i <= 4096; ++i) Put(std::to_string(i) + ".pem", ToBytes("x"));
  EXPECT_EQ(Rule(), "ek.root-count");
}

TEST_F(EkDirectoryTest, ReadsOneFolderPerVendor) {
  PosixFileSystem files;
  const EkDirectory read = ReadEkDirectory(files, SALLYPORT_SOURCE_DIR "/tests/vectors/ek").value();
  EXPECT_GT(read.certificates.size(), 56u);
  const auto google = std::ranges::count(read.certificates, "roots-gce", &EkFile::vendor);
  EXPECT_EQ(google, 5);
}

TEST_F(EkDirectoryTest, RefusesWhatShouldBeACertificateOrAListAndIsNot) {
  EXPECT_EQ(LoadEkRoots(files_, "/roots").error().rule, "ek.no-root");
  Put("nuvoton.pem", ToBytes("none"));
  EXPECT_EQ(LoadEkRoots(files_, "/roots").error().rule, "ek.root");
  Put("nuvoton.pem", nuvoton_);
  Put("list.crl", ToBytes("none"));
  EXPECT_EQ(LoadEkRoots(files_, "/roots").error().rule, "crl.der");
}

TEST_F(EkDirectoryTest, ReadsBackWhatItWroteAndNothingBesides) {
  Put("loose.pem", globalsign_);
  ASSERT_TRUE(WriteEkDirectory(files_, "/roots", Bundle(3, nuvoton_)).has_value());
  const EkDirectory read = ReadEkDirectory(files_, "/roots").value();
  EXPECT_EQ(read.version, 3u);
  ASSERT_EQ(read.certificates.size(), 1u);
  EXPECT_EQ(read.certificates[0].vendor, "NTC");
  EXPECT_EQ(read.certificates[0].bytes, nuvoton_);
  EXPECT_EQ(LoadEkRoots(files_, "/roots")->anchor_count(), 1u);
}

TEST_F(EkDirectoryTest, RemovesTheFilesOfTheBundleBeforeAndNoOthers) {
  Put("loose.pem", globalsign_);
  ASSERT_TRUE(WriteEkDirectory(files_, "/roots", Bundle(1, nuvoton_)).has_value());
  ASSERT_TRUE(WriteEkDirectory(files_, "/roots", Bundle(2, globalsign_)).has_value());
  EXPECT_EQ(files_.List("/roots").value(),
            (std::vector<std::string>{"2.pem", "bundle.json", "loose.pem"}));
}

TEST_F(EkDirectoryTest, RefusesABundleThatWasTouched) {
  ASSERT_TRUE(WriteEkDirectory(files_, "/roots", Bundle(1, nuvoton_)).has_value());
  Put("1.pem", globalsign_);
  EXPECT_EQ(Rule(), "ek.bundle-digest");
  ASSERT_TRUE(files_.Remove("/roots/1.pem").has_value());
  EXPECT_EQ(Rule(), "not-found");
  Put("bundle.json", ToBytes("{}"));
  EXPECT_EQ(ReadEkDirectory(files_, "/roots").error().reason, Reason::kMalformed);
  Put("bundle.json", ToBytes(R"({"sallyport":"ek-bundle/v2","version":1,"files":[]})"));
  EXPECT_EQ(Rule(), "ek.bundle-index");
  Put("bundle.json",
      ToBytes(
          R"({"sallyport":"ek-bundle/v1","version":1,"files":[{"name":"../x","vendor":"","sha256":""}]})"));
  EXPECT_EQ(Rule(), "ek.bundle-index");
}

TEST_F(EkDirectoryTest, HoldsTheOldOrTheNewBundleWheneverThePowerIsCut) {
  for (uint64_t cut = 0;; ++cut) {
    MemoryFileSystem files;
    ASSERT_TRUE(WriteEkDirectory(files, "/roots", Bundle(1, nuvoton_)).has_value());
    files.CutPowerAfter(cut);
    const bool done = WriteEkDirectory(files, "/roots", Bundle(2, globalsign_)).has_value();
    const bool was_cut = files.cut();
    files.Restart(PowerLoss::kAll);
    const Result<EkDirectory> read = ReadEkDirectory(files, "/roots");
    ASSERT_TRUE(read.has_value()) << cut;
    EXPECT_EQ(read->certificates[0].bytes, read->version == 1 ? nuvoton_ : globalsign_) << cut;
    if (done && !was_cut) break;
  }
}

}  // namespace
}  // namespace sallyport::server
