#include "attestation-server/evidence/ima_entry.h"

#include <gtest/gtest.h>

#include "tests/fakes/file_signer.h"
#include "tests/fakes/ima_list_builder.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kSnakeoil = "ovmf/uki-sb-on-snakeoil/";

std::string RuleOf(const Result<ImaEntry>& entry) {
  return entry ? "" : std::string(entry.error().rule);
}
Result<ImaEntry> Parse(std::string_view name, ByteView data) {
  static const Bytes kDigest(20, 1);
  return ParseImaEntry({10, kDigest, name, data});
}
std::string RuleOfData(const Bytes& data, std::string_view name = "ima-ng") {
  return RuleOf(Parse(name, data));
}

TEST(ParseImaEntry, ReadsBothTemplates) {
  const Bytes digest = ImaListBuilder::FileDigest("content");
  const Bytes plain = ImaListBuilder::Data("sha256", digest, "/bin/a", std::nullopt);
  const ImaEntry ng = Parse("ima-ng", plain).value();
  EXPECT_EQ(ng.algorithm, pki::HashAlgorithm::kSha256);
  EXPECT_TRUE(Equal(ng.digest, digest));
  EXPECT_EQ(ng.path, "/bin/a");
  EXPECT_TRUE(ng.signature.empty());

  const Bytes with = ImaListBuilder::Data("sha256", digest, "/bin/a", Bytes{3, 2, 1});
  EXPECT_TRUE(Equal(Parse("ima-sig", with)->signature, Bytes{3, 2, 1}));
}

TEST(ParseImaEntry, RefusesOtherTemplatesByName) {
  const Bytes data = ImaListBuilder::Data("sha256", Bytes(32, 1), "/a", std::nullopt);
  for (const std::string_view name : {"ima-buf", "ima-modsig", "ima-ngv2", "", "ima-ng\n"})
    EXPECT_EQ(RuleOfData(data, name), "ima.template") << name;
}

TEST(ParseImaEntry, RefusesTruncationAtEveryByteAndTrailingOnes) {
  const Bytes data = ImaListBuilder::Data("sha256", Bytes(32, 1), "/bin/a", Bytes(4, 1));
  for (size_t size = 0; size < data.size(); ++size)
    EXPECT_EQ(RuleOfData(ToBytes(ByteView(data).first(size)), "ima-sig"), "ima.fields") << size;
  Bytes longer = data;
  longer.push_back(0);
  EXPECT_EQ(RuleOfData(longer, "ima-sig"), "ima.fields");
}

TEST(ParseImaEntry, RefusesADigestWithoutAlgorithmOrOfAnotherSize) {
  const auto with = [](std::string_view digest_field) {
    ByteWriter out;
    out.LittleU32(static_cast<uint32_t>(digest_field.size())).Raw(AsBytes(digest_field));
    return std::move(out.LittleU32(3).Raw(AsBytes({"/a\0", 3}))).Take();
  };
  using namespace std::string_view_literals;
  for (const std::string_view field :
       {""sv, ":\0aa"sv, "sha256"sv, "sha256:"sv, "sha256:\0"sv, "sha256:aaaa"sv,
        "sha256:\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"sv,
        "sha512:\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"sv})
    EXPECT_EQ(RuleOfData(with(field)), "ima.fields") << field;
  EXPECT_EQ(RuleOfData(with("sha256:\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"sv)), "");
  // Known to the kernel and not good enough for us: no algorithm, which the rule ima.hash refuses.
  EXPECT_FALSE(Parse("ima-ng", with("sha1:\0aaaaaaaaaaaaaaaaaaaa"sv))->algorithm.has_value());
}

TEST(ParseImaEntry, RefusesNamesThatAreNotOneString) {
  const auto with = [](std::string_view name) {
    ByteWriter out;
    out.LittleU32(40).Raw(AsBytes({"sha256:\0", 8})).Raw(Bytes(32, 1));
    out.LittleU32(static_cast<uint32_t>(name.size())).Raw(AsBytes(name));
    return std::move(out).Take();
  };
  using namespace std::string_view_literals;
  for (const std::string_view name : {""sv, "\0"sv, "/a"sv, "/a\0b\0"sv, "\0\0"sv})
    EXPECT_EQ(RuleOfData(with(name)), "ima.fields");
  EXPECT_EQ(RuleOfData(with("/a\0"sv)), "");
}

TEST(DescribePath, ShowsNothingThatATerminalObeys) {
  EXPECT_EQ(DescribePath("/tmp/\x1b[2J\n\xff"), "/tmp/?[2J??");
  EXPECT_EQ(DescribePath(std::string(5000, 'a')).size(), 200u);
}

// A file's signature as evmctl makes it; `type` and `version` as in security.ima.
class ImaSignatureTest : public testing::TestWithParam<pki::KeyType> {
 protected:
  ImaEntry Entry(const Bytes& digest) const {
    return {10, false, {}, pki::HashAlgorithm::kSha256, digest, "/bin/a", {}};
  }
  std::string Verify(const Bytes& attribute, const ImaEntry& entry) const {
    const Result<ImaSignature> parsed = ParseImaSignature(attribute);
    if (!parsed) return "parse: " + std::string(parsed.error().name());
    const auto verified = VerifyImaSignature(signer_.key(), *parsed, entry);
    return verified ? "" : std::string(verified.error().rule);
  }

  FileSigner signer_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Keys, ImaSignatureTest,
                         testing::Values(pki::KeyType::kP256, pki::KeyType::kRsa));

TEST_P(ImaSignatureTest, VerifiesVersion2OverTheDigestOfTheFile) {
  const Bytes digest = ImaListBuilder::FileDigest("content");
  const Bytes attribute = signer_.OfFile("content");
  EXPECT_EQ(Verify(attribute, Entry(digest)), "");
  EXPECT_EQ(ParseImaSignature(attribute)->key_id, 0xA1B2C3D4u);
  EXPECT_EQ(Verify(attribute, Entry(ImaListBuilder::FileDigest("other"))), "ima.signature");
}

TEST_P(ImaSignatureTest, VerifiesVersion3OverTypeAlgorithmAndDigest) {
  const Bytes digest = ImaListBuilder::FileDigest("content");
  Bytes file_id{6, 4};
  Append(file_id, digest);
  const Bytes signature = signer_.Raw(file_id);
  EXPECT_EQ(Verify(signer_.Attribute(6, 3, signature), Entry(digest)), "");
  EXPECT_EQ(Verify(signer_.Attribute(3, 3, signature), Entry(digest)), "ima.signature");
  EXPECT_EQ(Verify(signer_.Attribute(6, 3, signature), Entry(ImaListBuilder::FileDigest("other"))),
            "ima.signature");
}

TEST_P(ImaSignatureTest, RefusesEveryFlippedBit) {
  const Bytes digest = ImaListBuilder::FileDigest("content");
  const Bytes good = signer_.OfFile("content");
  for (size_t bit = 0; bit < good.size() * 8; bit += bit < 72 ? 1 : 37) {
    const bool in_key_id = bit / 8 >= 3 && bit / 8 < 7;  // selects a key, proves nothing
    if (in_key_id) continue;
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_NE(Verify(bad, Entry(digest)), "") << bit;
  }
}

TEST_P(ImaSignatureTest, RefusesAnotherHashThanTheFileWasMeasuredWith) {
  const Bytes digest = ImaListBuilder::FileDigest("content");
  ImaEntry entry = Entry(digest);
  entry.algorithm = pki::HashAlgorithm::kSha384;
  EXPECT_EQ(Verify(signer_.OfFile("content"), entry), "ima.signature");
}

TEST_P(ImaSignatureTest, RefusesOtherKindsAndSizes) {
  const auto rule = [](const Bytes& attribute) {
    return std::string(ParseImaSignature(attribute).error().rule);
  };
  const Bytes body(64, 1);
  EXPECT_EQ(rule({}), "ima.signature");
  EXPECT_EQ(rule(signer_.Attribute(3, 2, {})), "ima.signature");
  for (const auto& [type, version] : {std::pair(1, 2), {5, 2}, {3, 1}, {3, 4}, {6, 2}})
    EXPECT_EQ(
        rule(signer_.Attribute(static_cast<uint8_t>(type), static_cast<uint8_t>(version), body)),
        "ima.signature");
  Bytes sha1 = signer_.Attribute(3, 2, body);
  sha1[2] = 2;
  EXPECT_EQ(rule(sha1), "ima.signature");
  Bytes longer = signer_.Attribute(3, 2, body);
  longer.push_back(0);
  EXPECT_EQ(rule(longer), "ima.signature");
}

TEST(ImaListFromAscii, GivesTheBinaryListOfTheSameKernel) {
  const auto binary = ImaListFromAscii(VectorText(std::string(kSnakeoil) + "ima_ascii.txt"));
  ASSERT_TRUE(binary.has_value()) << binary.error().ToString();
  EXPECT_EQ(*binary, VectorFile(std::string(kSnakeoil) + "ima_binary.bin"));
}

TEST(ImaListFromAscii, RefusesTruncationButAtALine) {
  const std::string text = VectorText(std::string(kSnakeoil) + "ima_ascii.txt");
  for (size_t size = 1; size < 400; ++size)
    EXPECT_EQ(ImaListFromAscii(text.substr(0, size)).has_value(), text[size - 1] == '\n') << size;
}

TEST(ImaListFromAscii, RefusesWhatIsNoEntryAndNamesTheLine) {
  const std::string digest(40, 'a');
  const std::string good = "10 " + digest + " ima-ng sha256:" + std::string(64, 'b') + " /bin/a\n";
  const auto error = [&](const std::string& line) { return ImaListFromAscii(good + line).error(); };
  EXPECT_TRUE(ImaListFromAscii(good).has_value());
  EXPECT_NE(error("x\n").detail.find("line 2"), std::string::npos);
  EXPECT_EQ(error("10 aa ima-ng sha256:bb /a\n").rule, "ima.structure");
  EXPECT_EQ(error("10 " + digest + " ima-buf sha256:bb /a\n").rule, "ima.template");
  EXPECT_EQ(error("10 " + digest + " ima-ng sha256:zz /a\n").rule, "ima.structure");
  EXPECT_EQ(error("10 " + digest + " ima-ng sha256:bb /a more words\n").rule, "ima.structure");
  EXPECT_EQ(error("99999999999 " + digest + " ima-ng sha256:bb /a\n").rule, "ima.structure");
}

}  // namespace
}  // namespace sallyport::server
