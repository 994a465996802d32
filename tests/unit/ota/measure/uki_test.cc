#include "ota/measure/uki.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "ota/measure/authenticode.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/pe_builder.h"

namespace sallyport::ota {
namespace {

const Bytes kKernel = BuildPe({{".text", ToBytes("a kernel")}});
const Bytes kCmdline = ToBytes("console=ttyS0 panic=5 quiet");
const Bytes kOsRelease = ToBytes("ID=edge\n");
const Bytes kInitrd = ToBytes("an initrd");

PeContent UkiContent() {
  return {
      {".osrel", kOsRelease}, {".cmdline", kCmdline}, {".initrd", kInitrd}, {".linux", kKernel}};
}
Bytes Uki() { return BuildPe(UkiContent()); }

std::string_view RuleOf(const Bytes& file) {
  const auto measured = MeasureUki(file);
  return measured ? "accepted" : measured.error().rule;
}
std::vector<std::string> Hex(const std::vector<Sha256Digest>& digests) {
  std::vector<std::string> out;
  for (const auto& digest : digests) out.push_back(HexEncode(digest));
  return out;
}
std::vector<Sha256Digest> FromHex(const std::vector<std::string>& texts) {
  std::vector<Sha256Digest> out;
  for (const auto& text : texts) out.push_back(*Sha256Digest::FromView(*HexDecode(text)));
  return out;
}
Sha256Digest AuthenticodeOf(const Bytes& file) { return AuthenticodeSha256(*PeImage::Parse(file)); }

// The PCR 11 events of a real boot: OVMF 2022.11 and systemd-stub 252
// (tests/vectors/ovmf/uki-sb-off).
const std::vector<std::string> kBootedPcr11 = {
    "0da293e37ad5511c59be47993769aacb91b243f7d010288e118dc90e95aaef5a",
    "51349501a3d1ff83836437d2b365fd2d57f2feb8642d315e5181dec23d4c3275",
    "3fb9e4e3cc810d4326b5c13cef18aee1f9df8c5f4f7f5b96665724fa3b846e08",
    "ad552ad14c91d1d5c4bf196665540f666151bb49bdc0e939611ec893a36befdc",
    "461203a89f23e36c3a4dc817f905b00484d2cf7e7d9376f13df91c41d84abe46",
    "e72e66734e235272faf978e36a9df40385b72a551631ac866e135d9cb87e1b6d",
    "15ee37e75f1e8d42080e91fdbbd2560780918c81fe3687ae6d15c472bbdaac75",
    "230c65cbfd25fb91923ae9196710e87bb027370e9c939e384cff97402c5a4531"};

TEST(MeasureUki, NamesAndOrdersSectionsAsARealBootDid) {
  const auto measured = MeasureUki(Uki());

  ASSERT_TRUE(measured) << measured.error().ToString();
  const auto events = Hex(measured->pcr11);
  ASSERT_EQ(events.size(), kBootedPcr11.size());
  for (const size_t name : {0u, 2u, 4u, 6u}) EXPECT_EQ(events[name], kBootedPcr11[name]);
  EXPECT_EQ(events[5], kBootedPcr11[5]) << "the same command line as in that boot";
}

TEST(MeasureUki, PredictsTheLoadOptionsEventOfARealBoot) {
  const auto measured = MeasureUki(Uki());

  ASSERT_TRUE(measured);
  ASSERT_EQ(measured->pcr9.size(), 2u);
  EXPECT_EQ(HexEncode(measured->pcr9[0]),
            "dd43e961a7aa06e49ff0d21e2e75852c183575a72e6822b06b3bdc80a9095ee6");
  EXPECT_EQ(measured->pcr9[1], pki::Sha256(kInitrd));
}

TEST(ExtendAll, ReplaysARealBootToItsPcrValues) {
  EXPECT_EQ(HexEncode(ExtendAll(FromHex(kBootedPcr11))),
            "441f46bce935fb96066b7e7b962dbd8a8e4cf0c3798f86d867e88b976115a7d6");
  EXPECT_EQ(HexEncode(ExtendAll(
                FromHex({"3d6772b4f84ed47595d72a2c4c5ffd15f5bb72c7507fe26f2aaee2c69d5633ba",
                         "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119",
                         "f0f2ad3cef98935fc06c29cab63e327a652ee87335e9d08d7fb785c6cef76161",
                         "5f21ff2c0d5d899842b28a8b19901ba72cf7a7ab93c02a77fadc6ff72be85b31"}))),
            "7486dd80fe66d72d429cd6f532cdfbb6ee0facd49f993519d081bbeb925ec3d7");
}

TEST(MeasureUki, ListsTheKernelInPcr4OnlyWithSecureBootOff) {
  const Bytes uki = Uki();

  const auto measured = MeasureUki(uki);

  ASSERT_TRUE(measured);
  EXPECT_EQ(measured->pcr4_secure_boot_on, std::vector{AuthenticodeOf(uki)});
  EXPECT_EQ(measured->pcr4_secure_boot_off,
            (std::vector{AuthenticodeOf(uki), AuthenticodeOf(kKernel)}));
}

TEST(MeasureUki, ChangesWithEveryMeasuredSectionAndWithNoOther) {
  const auto base = MeasureUki(Uki());
  for (const char* name : {".splash", ".dtb", ".pcrpkey"}) {
    PeContent more = UkiContent();
    more.emplace_back(name, ToBytes("x"));
    EXPECT_EQ(MeasureUki(BuildPe(more))->pcr11.size(), 10u) << name;
  }
  for (const char* name : {".pcrsig", ".uname", ".sbat"}) {
    PeContent more = UkiContent();
    more.emplace_back(name, ToBytes("x"));
    EXPECT_EQ(MeasureUki(BuildPe(more))->pcr11, base->pcr11) << name;
  }
}

TEST(MeasureUki, MeasuresTheZerosThatAreOnlyInMemory) {
  Bytes uki = BuildPe({{".linux", kKernel}, {".cmdline", ToBytes("x")}});
  const size_t cmdline_virtual_size = 0x80 + 24 + 240 + 40 + 8;
  uki[cmdline_virtual_size + 1] = 3;  // 769 bytes in memory, 512 in the file
  Bytes memory = ToBytes("x");
  memory.resize(769);

  EXPECT_EQ(MeasureUki(uki)->pcr11.back(), pki::Sha256(memory));

  uki[cmdline_virtual_size + 3] = 0x7f;
  EXPECT_EQ(RuleOf(uki), "uki.zero-fill");
}

TEST(MeasureUki, RefusesASectionThatOccursTwice) {
  PeContent content = UkiContent();
  content.emplace_back(".cmdline", ToBytes("init=/bin/sh"));
  EXPECT_EQ(RuleOf(BuildPe(content)), "uki.duplicate-section");
}

TEST(MeasureUki, RefusesAKernelThatIsNoPeImage) {
  EXPECT_EQ(RuleOf(BuildPe({{".linux", ToBytes("not a kernel")}})), "uki.linux");
}

TEST(MeasureUki, RefusesACommandLineThatTheStubWouldReencode) {
  EXPECT_EQ(RuleOf(BuildPe({{".linux", kKernel}, {".cmdline", ToBytes("caf\xC3\xA9")}})),
            "uki.cmdline");
}

TEST(MeasureUki, MeasuresAnOrdinaryEfiApplicationWithoutKernelEvents) {
  const auto measured = MeasureUki(kKernel);

  ASSERT_TRUE(measured);
  EXPECT_EQ(measured->pcr4_secure_boot_off, measured->pcr4_secure_boot_on);
  EXPECT_TRUE(measured->pcr11.empty() && measured->pcr9.empty() && measured->pcr11_phases.empty());
}

// systemd-measure is the reference implementation of the same prediction.
class SystemdMeasure : public ::testing::Test {
 protected:
  static constexpr const char* kTool = "/usr/lib/systemd/systemd-measure";
  void SetUp() override {
    if (!std::filesystem::exists(kTool)) GTEST_SKIP() << "systemd-measure is not installed";
    std::string name = ::testing::TempDir() + "measure-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  std::string Write(const std::string& name, const Bytes& content) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << AsText(content);
    return path;
  }
  std::string Pcr11(const std::string& phase) const {
    const std::string command = std::string(kTool) + " calculate --bank=sha256 --phase=" + phase +
                                " --linux=" + Write("linux", kKernel) +
                                " --osrel=" + Write("osrel", kOsRelease) +
                                " --cmdline=" + Write("cmdline", kCmdline) +
                                " --initrd=" + Write("initrd", kInitrd) + " 2>/dev/null";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string text;
    std::array<char, 256> line{};
    while (std::fgets(line.data(), line.size(), pipe) != nullptr) text += line.data();
    ::pclose(pipe);
    const size_t at = text.find("11:sha256=");
    return at == std::string::npos ? "no answer: " + text : text.substr(at + 10, 64);
  }
  std::string directory_;
};

TEST_F(SystemdMeasure, AgreesOnEveryPhase) {
  const auto measured = MeasureUki(Uki());

  ASSERT_TRUE(measured);
  ASSERT_EQ(measured->pcr11_phases.size(), 5u);
  for (const Pcr11Phase& phase : measured->pcr11_phases)
    EXPECT_EQ(HexEncode(phase.value), Pcr11(phase.path)) << phase.path;
}

TEST(MeasureUki, PredictsARealStubWithAddedSections) {
  const std::string stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
  if (!std::filesystem::exists(stub)) GTEST_SKIP() << "systemd-boot-efi is not installed";
  std::ifstream in(stub, std::ios::binary);
  const Bytes bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};

  const auto measured = MeasureUki(AppendSections(bytes, UkiContent()));

  ASSERT_TRUE(measured) << measured.error().ToString();
  EXPECT_EQ(measured->pcr11, MeasureUki(Uki())->pcr11);
}

}  // namespace
}  // namespace sallyport::ota
