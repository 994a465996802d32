// The virtual node boots as UEFI machines do, and its log tells the truth about its TPM.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "attestation-server/evidence/replay.h"
#include "ota/measure/uki.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/fake_random.h"
#include "tests/fakes/quoted_boot.h"
#include "tests/node/virtual_node.h"

namespace sallyport::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr UnixTime kNow = UnixTime::FromSeconds(1795000000);  // 2026-11-18
constexpr uint64_t kSlotBytes = 1 << 20;
constexpr server::EventType kApplication = server::EventType::kBootServicesApplication;
constexpr server::EventType kAction = server::EventType::kEfiAction;

// One logged event, without its data.
using Step = std::pair<uint32_t, server::EventType>;

class NodeTest : public testing::Test {
 protected:
  NodeTest() {
    char name[] = "/tmp/sp-node-XXXXXX";
    dir_ = ::mkdtemp(name);
    const auto vendor = VendorCa::Make(kNow, random_);
    EXPECT_TRUE(vendor && vendor->Save(files_, dir_ + "/vendor"));
  }
  ~NodeTest() override { std::filesystem::remove_all(dir_); }

  // Uki makes a slot image and its UKI, and returns the UKI's path; the image is beside it.
  std::string Uki(const std::string& version, const std::string& fault = "") {
    const std::string image = dir_ + "/" + version + ".img";
    std::ofstream(image) << "root file system " << version;
    const std::string out = dir_ + "/" + version + ".efi";
    const std::string command =
        std::string(SALLYPORT_SOURCE_DIR) + "/tests/node/make_uki.sh --version " + version +
        " --image " + image + " --out " + out + (fault.empty() ? "" : " --fault " + fault);
    EXPECT_EQ(std::system(command.c_str()), 0);
    return out;
  }
  VirtualNode Create(const std::string& name = "cam-1") {
    const std::string uki = Uki("1.0.0");
    const NodeSpec spec{name, kSlotBytes, dir_ + "/vendor", uki, dir_ + "/1.0.0.img",
                        "",   Seconds(1)};
    const auto keys = VirtualNode::Create(dir_ + "/" + name, spec, kNow, random_);
    EXPECT_TRUE(keys) << keys.error().ToString();
    return *VirtualNode::Open(dir_ + "/" + name);
  }
  // InstallB does what the installer does: slot image, UKI, BootNext.
  void InstallB(VirtualNode& node, const std::string& version, const std::string& fault = "") {
    const std::string uki = Uki(version, fault);
    std::filesystem::copy_file(uki, node.UkiPath(Slot::kB),
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(dir_ + "/" + version + ".img", node.SlotPath(Slot::kB),
                               std::filesystem::copy_options::overwrite_existing);
    ASSERT_TRUE(Variables(node).SetU16s("BootNext", kNonVolatile, {BootEntryOf(Slot::kB)}));
  }
  EfiVariables Variables(VirtualNode& node) { return EfiVariables(files_, node.EfiVariablesDir()); }
  BootReport PowerOn(VirtualNode& node) {
    auto report = node.PowerOn(random_);
    EXPECT_TRUE(report) << report.error().ToString();
    return *report;
  }
  Bytes Log(VirtualNode& node) {
    return *ReadFile(files_, node.EventLogPath(), server::kLogBytesMax);
  }
  Sha256Digest Pcr(VirtualNode& node, uint32_t pcr) {
    return *EsysTpm::Connect(node.tpm()->tcti())->ReadPcr(pcr);
  }
  // Digests returns the digests of the events of `pcr` and `type`, in order.
  std::vector<Sha256Digest> Digests(VirtualNode& node, uint32_t pcr, server::EventType type) {
    const Bytes bytes = Log(node);
    std::vector<Sha256Digest> out;
    const auto log = server::ParseEventLog(bytes);
    for (const server::Event& event : log->events)
      if (event.pcr == pcr && event.type == type)
        out.push_back(*Sha256Digest::FromView(event.digest(server::Bank::kSha256)));
    return out;
  }

  std::string dir_;
  FakeRandom random_;
  PosixFileSystem files_;
};

// Steps lists a log's events without what differs between machines: option ROMs and the number of
// boot entries.
std::vector<Step> Steps(ByteView bytes) {
  std::vector<Step> out;
  const auto log = server::ParseEventLog(bytes);
  for (const server::Event& event : log->events) {
    const Step step{event.pcr, event.type};
    if (event.pcr == 2 && event.type != server::EventType::kSeparator) continue;
    if (event.type == server::EventType::kVariableBoot && !out.empty() && out.back() == step)
      continue;
    out.push_back(step);
  }
  return out;
}

Sha256Digest HashOf(std::string_view text) { return pki::Sha256(AsBytes(text)); }

TEST_F(NodeTest, StartsSlotAAndSaysSoInBootCurrent) {
  VirtualNode node = Create();

  const BootReport report = PowerOn(node);

  EXPECT_EQ(report.outcome, BootOutcome::kRunning) << report.detail;
  EXPECT_EQ(report.slot, Slot::kA);
  EXPECT_THAT(report.refusals, testing::IsEmpty());
  EXPECT_THAT(Variables(node).GetU16s("BootCurrent"), ElementsAre(0));
}

TEST_F(NodeTest, TheLogReplaysToEveryPcrOfTheTpmButTheKernels) {
  VirtualNode node = Create();
  PowerOn(node);

  const Bytes bytes = Log(node);
  const auto replayed = server::Replay(*server::ParseEventLog(bytes), server::Bank::kSha256);

  for (uint32_t pcr = 0; pcr < server::kPcrCount; ++pcr) {
    if (pcr == server::kImaPcr) continue;
    EXPECT_EQ(HexEncode(replayed.value(pcr).view()), HexEncode(Pcr(node, pcr))) << "PCR " << pcr;
  }
}

TEST_F(NodeTest, TheMeasurementListReplaysToPcr10) {
  VirtualNode node = Create();
  PowerOn(node);
  ASSERT_TRUE(node.RunFile("/sbin/init", "init").has_value());
  const Bytes list = ReadFile(files_, node.ImaListPath(), 1 << 20).value();
  server::PcrDigest pcr = server::PcrDigest::Filled(server::Bank::kSha256, 0);
  for (ByteReader in(list, "list"); in.remaining() > 0;) {
    const auto extended =
        server::HashWith(server::Bank::kSha256, pki::ReadMeasuredEntry(in).value().data);
    pcr = server::HashWith(server::Bank::kSha256, pcr.view(), extended.view());
  }
  EXPECT_EQ(HexEncode(pcr.view()), HexEncode(Pcr(node, server::kImaPcr)));
}

TEST_F(NodeTest, EveryPcrFollowsTheGrammarOfTheVerifier) {
  VirtualNode node = Create();
  PowerOn(node);

  const auto replayed = server::ReplayedLog::Make(Log(node), pki::HashAlgorithm::kSha256);

  ASSERT_TRUE(replayed) << replayed.error().ToString();
  for (uint32_t pcr = 0; pcr < server::kPcrCount; ++pcr) {
    const auto& fault = replayed->grammar(pcr).fault;
    EXPECT_FALSE(fault) << "PCR " << pcr << ": " << fault->rule << " " << fault->detail;
  }
}

TEST_F(NodeTest, Tpm2ToolsReadTheSamePcrs) {
  VirtualNode node = Create();
  PowerOn(node);

  const std::string grep =
      "tpm2_pcrread sha256:4 -T " + node.tpm()->tcti() + " | grep -qi " + HexEncode(Pcr(node, 4));

  EXPECT_EQ(std::system(grep.c_str()), 0);
}

TEST_F(NodeTest, TheLogHasTheStepsOfARealBootOfOvmf) {
  VirtualNode node = Create();
  PowerOn(node);
  const std::string real =
      SALLYPORT_SOURCE_DIR "/tests/vectors/ovmf/ab-sb-off-step6-v2/eventlog.bin";

  EXPECT_EQ(Steps(Log(node)), Steps(*ReadFile(files_, real, server::kLogBytesMax)));
}

TEST_F(NodeTest, TheUkiMeasuresAsItsReleaseWillSay) {
  VirtualNode node = Create();
  PowerOn(node);

  const auto predicted = ota::MeasureUki(*ReadFile(files_, node.UkiPath(Slot::kA), kImageBytesMax));

  ASSERT_TRUE(predicted) << predicted.error().ToString();
  EXPECT_EQ(Digests(node, 4, kApplication), predicted->pcr4_secure_boot_off);
  EXPECT_EQ(Digests(node, 9, server::EventType::kEventTag), predicted->pcr9);
  EXPECT_EQ(Digests(node, 11, server::EventType::kIpl), predicted->pcr11);
}

TEST_F(NodeTest, BootNextIsUsedOnceAndThenBootOrder) {
  VirtualNode node = Create();
  PowerOn(node);
  InstallB(node, "2.0.0");

  EXPECT_EQ(PowerOn(node).slot, Slot::kB);
  EXPECT_FALSE(Variables(node).Get("BootNext"));
  EXPECT_EQ(PowerOn(node).slot, Slot::kA);
}

TEST_F(NodeTest, TheSameImageMeasuresTheSameInEitherSlot) {
  VirtualNode node = Create();
  PowerOn(node);
  const Sha256Digest in_a = Pcr(node, 4);
  InstallB(node, "1.0.0");

  ASSERT_EQ(PowerOn(node).slot, Slot::kB);

  EXPECT_EQ(Pcr(node, 4), in_a);
}

TEST_F(NodeTest, BootOrderDecidesAfterACommit) {
  VirtualNode node = Create();
  InstallB(node, "2.0.0");
  ASSERT_EQ(PowerOn(node).slot, Slot::kB);

  ASSERT_TRUE(Variables(node).SetU16s("BootOrder", kNonVolatile, {1, 0}));

  EXPECT_EQ(PowerOn(node).slot, Slot::kB);
}

TEST_F(NodeTest, TheAgentsBootControlAndTheFirmwareAgree) {
  VirtualNode node = Create();
  PowerOn(node);
  ota::EfiBootControl control(files_, node.BootConfig());
  EXPECT_EQ(*control.RunningSlot(), Slot::kA);
  InstallB(node, "2.0.0");

  ASSERT_TRUE(control.Disarm(Slot::kB) && control.ArmOnce(Slot::kB));
  EXPECT_EQ(PowerOn(node).slot, Slot::kB);
  EXPECT_EQ(*control.RunningSlot(), Slot::kB);

  ASSERT_TRUE(control.MakeDefault(Slot::kB));
  EXPECT_EQ(PowerOn(node).slot, Slot::kB);
}

TEST_F(NodeTest, AMissingImageFallsThroughAndTheLogTells) {
  VirtualNode node = Create();
  ASSERT_TRUE(Variables(node).SetU16s("BootNext", kNonVolatile, {BootEntryOf(Slot::kB)}));

  const BootReport report = PowerOn(node);

  EXPECT_EQ(report.slot, Slot::kA);
  EXPECT_THAT(report.refusals, ElementsAre(HasSubstr("Boot0001")));
  const Sha256Digest calling = HashOf("Calling EFI Application from Boot Option");
  const Sha256Digest returning = HashOf("Returning from EFI Application from Boot Option");
  EXPECT_THAT(Digests(node, 4, kAction), ElementsAre(calling, returning, calling));
  EXPECT_EQ(Digests(node, 4, kApplication).size(), 2u);
}

TEST_F(NodeTest, AnImageThatIsNoPeFileFallsThroughUnmeasured) {
  VirtualNode node = Create();
  InstallB(node, "2.0.0");
  std::filesystem::resize_file(node.UkiPath(Slot::kB), 1000);

  const BootReport report = PowerOn(node);

  EXPECT_EQ(report.slot, Slot::kA);
  EXPECT_EQ(Digests(node, 4, kApplication).size(), 2u);
}

TEST_F(NodeTest, AStubWithoutKernelIsMeasuredAndFallsThrough) {
  VirtualNode node = Create();
  InstallB(node, "2.0.0", "no-kernel");

  const BootReport report = PowerOn(node);

  EXPECT_EQ(report.slot, Slot::kA);
  EXPECT_THAT(report.refusals, ElementsAre(HasSubstr(".linux")));
  EXPECT_EQ(Digests(node, 4, kApplication).size(), 3u);
}

// ReleaseOf expects of a UKI what its release would.
server::Candidate ReleaseOf(const std::string& uki, server::ReferenceRole role, bool secure_boot) {
  PosixFileSystem files;
  const auto measured = ota::MeasureUki(*ReadFile(files, uki, kImageBytesMax));
  const auto events = [](const std::vector<Sha256Digest>& digests) {
    server::PcrEventsExpected out;
    for (const Sha256Digest& digest : digests)
      out.push_back({std::nullopt, server::PcrDigest::Of(digest.view()), ""});
    return out;
  };
  server::Expectation out{.label = uki, .secure_boot = secure_boot};
  out.pcrs.emplace(
      4, events(secure_boot ? measured->pcr4_secure_boot_on : measured->pcr4_secure_boot_off));
  out.pcrs.emplace(11, events(measured->pcr11));
  return {role, out};
}

TEST_F(NodeTest, AFallBackFromAStubWithoutKernelIsJudgedByWhetherThatImageIsKnown) {
  VirtualNode node = Create();
  InstallB(node, "2.0.0", "no-kernel");
  ASSERT_EQ(PowerOn(node).slot, Slot::kA);
  const Bytes log = Log(node);
  std::vector<server::Candidate> known{
      ReleaseOf(dir_ + "/1.0.0.efi", server::ReferenceRole::kCommitted, false),
      ReleaseOf(dir_ + "/2.0.0.efi", server::ReferenceRole::kPending, false)};

  const auto assigned = server::QuotedBoot().Judge(log, log, known);
  EXPECT_EQ(assigned.rule(), "");
  EXPECT_EQ(assigned.reference.nearest->role, server::ReferenceRole::kCommitted);
  known.pop_back();
  const auto unknown = server::QuotedBoot().Judge(log, log, known);
  EXPECT_EQ(unknown.rule(), "pcr.4");
}

Bytes HashList(const std::vector<Sha256Digest>& images) {
  ByteWriter out;
  const auto count = static_cast<uint32_t>(images.size());
  out.Raw(HexDecode("2616c4c14c509240aca941f936934328").value());
  out.LittleU32(28 + 48 * count).LittleU32(0).LittleU32(48);
  for (const Sha256Digest& image : images) out.Raw(Bytes(16, 1)).Raw(image.view());
  return std::move(out).Take();
}

class SecureNodeTest : public NodeTest {
 protected:
  SecureNodeTest() : node_(Create()), image_(AuthenticodeOf(node_.UkiPath(Slot::kA))) {
    Enrol("PK", kGlobalVariable, HashList({HashOf("platform key")}));
    Enrol("KEK", kGlobalVariable, HashList({HashOf("exchange key")}));
    Enrol("db", kImageSecurity, HashList({image_}));
    Enrol("dbx", kImageSecurity, HashList({HashOf("revoked")}));
  }
  Sha256Digest AuthenticodeOf(const std::string& uki) {
    return ota::MeasureUki(*ReadFile(files_, uki, kImageBytesMax))->authenticode;
  }
  void Enrol(const std::string& name, const Guid& guid, const Bytes& lists) {
    EXPECT_TRUE(Variables(node_).Set(name, kNonVolatile, lists, guid));
  }
  // Judge judges the node's last boot: keys and revocations as enrolled above.
  server::CheckList Judge() {
    server::SecureBootExpected expected;
    const auto ids = [](const Bytes& lists) { return server::ParseSignatureLists(lists).value(); };
    expected.pk = ids(HashList({HashOf("platform key")}));
    expected.kek = ids(HashList({HashOf("exchange key")}));
    expected.db = ids(HashList({image_}));
    expected.dbx = ids(HashList({HashOf("revoked")}));
    server::Candidate candidate =
        ReleaseOf(dir_ + "/1.0.0.efi", server::ReferenceRole::kCommitted, true);
    candidate.expectation.secure_boot = std::nullopt;
    candidate.expectation.pcrs.emplace(7, expected);
    const Bytes log = Log(node_);
    return server::QuotedBoot().Judge(log, log, {candidate}).checks;
  }

  std::string Rule() {
    const server::CheckList checks = Judge();
    const server::Check* const failure = checks.FirstFailure();
    return failure == nullptr ? "" : std::string(failure->rule);
  }

  VirtualNode node_;
  Sha256Digest image_;
};

TEST_F(SecureNodeTest, StartsAnEnrolledImageAndIsJudgedByItsKeys) {
  ASSERT_EQ(PowerOn(node_).slot, Slot::kA);
  EXPECT_EQ(Rule(), "");
  EXPECT_EQ(Digests(node_, 4, kApplication), (std::vector<Sha256Digest>{image_}));
}

TEST_F(SecureNodeTest, RefusesAnotherImageUnmeasuredAndFallsBack) {
  InstallB(node_, "2.0.0");
  const BootReport report = PowerOn(node_);
  EXPECT_EQ(report.slot, Slot::kA);
  EXPECT_THAT(report.refusals, ElementsAre(HasSubstr("Access Denied")));
  EXPECT_EQ(Rule(), "");
}

TEST_F(SecureNodeTest, AnOldDbxAnUnknownKeyAndSecureBootOffAreRefusedByName) {
  Enrol("dbx", kImageSecurity, HashList({HashOf("another")}));
  PowerOn(node_);
  EXPECT_EQ(Rule(), "secure-boot.dbx");

  Enrol("dbx", kImageSecurity, HashList({HashOf("revoked")}));
  Enrol("db", kImageSecurity, HashList({image_, HashOf("evil")}));
  PowerOn(node_);
  EXPECT_EQ(Rule(), "secure-boot.db");

  Enrol("PK", kGlobalVariable, {});
  PowerOn(node_);
  EXPECT_EQ(Judge().Of("secure-boot.off"), server::CheckResult::kFail);
}

TEST_F(NodeTest, NoStartableEntryLeavesTheNodeInItsFirmware) {
  VirtualNode node = Create();
  std::filesystem::remove(node.UkiPath(Slot::kA));

  const BootReport report = PowerOn(node);

  EXPECT_EQ(report.outcome, BootOutcome::kNoImage);
  EXPECT_EQ(report.refusals.size(), 2u);
}

TEST_F(NodeTest, FaultyReleasesHangOrPanicInTheirSlot) {
  VirtualNode node = Create();

  InstallB(node, "2.0.0", "hang");
  EXPECT_EQ(PowerOn(node).outcome, BootOutcome::kHung);
  InstallB(node, "2.0.1", "panic");
  EXPECT_EQ(PowerOn(node).outcome, BootOutcome::kPanicked);
}

TEST_F(NodeTest, AKernelPanicsWhenItsSlotHoldsAnotherImage) {
  VirtualNode node = Create();
  std::fstream slot(node.SlotPath(Slot::kA), std::ios::in | std::ios::out);
  slot.seekp(3).put('X');
  slot.close();

  const BootReport report = PowerOn(node);

  EXPECT_EQ(report.outcome, BootOutcome::kPanicked);
  EXPECT_THAT(report.detail, HasSubstr("mismatch"));
}

TEST_F(NodeTest, TamperingChangesPcr4AndNothingOfTheFirmware) {
  VirtualNode node = Create();
  PowerOn(node);
  const Sha256Digest pcr0 = Pcr(node, 0), pcr4 = Pcr(node, 4), pcr7 = Pcr(node, 7);

  ASSERT_TRUE(node.Tamper());
  ASSERT_EQ(PowerOn(node).outcome, BootOutcome::kRunning);

  EXPECT_NE(Pcr(node, 4), pcr4);
  EXPECT_EQ(Pcr(node, 0), pcr0);
  EXPECT_EQ(Pcr(node, 7), pcr7);
}

TEST_F(NodeTest, EachPowerOnRaisesTheResetCount) {
  VirtualNode node = Create();
  const auto reset_count = [&] {
    return EsysTpm::Connect(node.tpm()->tcti())->ReadResetCounts()->reset_count;
  };
  PowerOn(node);
  const uint32_t first = reset_count();

  PowerOn(node);
  EXPECT_EQ(reset_count(), first + 1);
  node.CutPower();
  PowerOn(node);
  EXPECT_EQ(reset_count(), first + 2);
}

TEST_F(NodeTest, FirmwareLocksThePlatformHierarchy) {
  VirtualNode node = Create();
  PowerOn(node);

  const auto written =
      EsysTpm::Connect(node.tpm()->tcti())->WriteCertificate(kEkCertificateP256Index, Bytes(100));

  EXPECT_FALSE(written);
}

TEST_F(NodeTest, ASwappedTpmIsAnotherTpmOfTheSameVendor) {
  VirtualNode node = Create();
  const auto before = ReadFile(files_, node.dir() + "/ek-p256.der", 4096);

  ASSERT_TRUE(node.SwapTpm(kNow, random_));

  const auto after = ReadFile(files_, node.dir() + "/ek-p256.der", 4096);
  ASSERT_TRUE(before && after);
  EXPECT_NE(*before, *after);
  EXPECT_EQ(PowerOn(node).outcome, BootOutcome::kRunning);
}

TEST_F(NodeTest, RefusesToCreateANodeTwiceOrWithAnImageLargerThanItsSlot) {
  VirtualNode node = Create();
  const NodeSpec spec{"cam-1",   4, dir_ + "/vendor", dir_ + "/1.0.0.efi", dir_ + "/1.0.0.img", "",
                      Seconds(1)};

  EXPECT_EQ(VirtualNode::Create(node.dir(), spec, kNow, random_).error().reason,
            Reason::kAlreadyExists);
  EXPECT_EQ(VirtualNode::Create(dir_ + "/other", spec, kNow, random_).error().reason,
            Reason::kNoSpace);
}

TEST_F(NodeTest, UkisAreReproducible) {
  const auto first = ReadFile(files_, Uki("1.0.0"), kImageBytesMax);
  const auto second = ReadFile(files_, Uki("1.0.0"), kImageBytesMax);

  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
}

}  // namespace
}  // namespace sallyport::node
