#include "attestation-server/evidence/ima.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/file_signer.h"
#include "tests/fakes/ima_list_builder.h"
#include "tests/fakes/soft_tpm_key.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr auto kSha256 = pki::HashAlgorithm::kSha256;
constexpr uint32_t kUnquoted10 = kImaPcrMask & ~(1u << kImaPcr);

const BootId kBoot = BootId::FromArray({7});
const BootId kOtherBoot = BootId::FromArray({8});

class ImaTest : public testing::Test {
 protected:
  ImaTest() {
    for (uint8_t i = 0; i < 10; ++i) pcrs_.push_back(Bytes(32, i));
    auto expected = std::make_shared<ImaExpected>();
    for (const std::string_view content : {"init", "shell", "agent"})
      expected->files.insert(ToString(ImaListBuilder::FileDigest(content)));
    expected->signers.push_back({rsa_.key_id(), rsa_.key(), "vendor"});
    expected->signers.push_back({ecc_.key_id(), ecc_.key(), "site"});
    references_.parts.push_back(std::move(expected));
  }

  ImaListBuilder Boot() const { return ImaListBuilder().BootAggregate(pcrs_); }
  ImaListBuilder GoodBoot() const { return Boot().File("/init", "init").File("/bin/sh", "shell"); }

  // Authentic: what a TPM quoted whose PCRs hold pcrs_ and `pcr10`.
  AuthenticatedPcrs Authentic(const PcrDigest& pcr10, uint32_t mask = kImaPcrMask) {
    pki::Hasher hasher(kSha256);
    std::vector<PcrValue> values;
    for (uint32_t pcr = 0; pcr <= kImaPcr; ++pcr) {
      if ((mask >> pcr & 1) == 0) continue;
      values.push_back({pcr, pcr == kImaPcr ? pcr10 : PcrDigest::Of(pcrs_[pcr])});
      hasher.Update(values.back().value.view());
    }
    AttestFields fields;
    fields.qualified_signer = ak_.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = Bytes(32, 3);
    fields.body = QuoteBodyBytes({{pki::tpm::kAlgSha256, mask}}, hasher.Finish());
    const Bytes attest = fields.Write();
    QuoteExpectation wanted;
    wanted.extra_data = fields.extra_data;
    wanted.bank = kSha256;
    wanted.pcr_mask = mask;
    CheckList checks(QuoteRules());
    return CheckQuote(key_, {attest, ak_.Sign(attest), &values, nullptr}, wanted, checks)->pcrs;
  }

  struct Judged {
    CheckList checks;
    std::optional<ImaOutcome> outcome;
    std::string rule() const {
      const Check* const failure = checks.FirstFailure();
      return failure == nullptr ? "" : std::string(failure->rule);
    }
    std::string detail() const { return checks.FirstFailure()->detail; }
  };
  Judged Judge(const PcrDigest& quoted, const std::optional<ImaInput>& input,
               const ImaStart& start = ImaStart::OfBoot(Bank::kSha256), uint32_t mask = kImaPcrMask,
               const BootId& boot = kBoot) {
    Judged out{CheckList(ImaRules()), {}};
    out.outcome = CheckIma(Authentic(quoted, mask), boot, input ? &*input : nullptr,
                           {start, &references_}, out.checks);
    EXPECT_EQ(out.rule().empty(), out.checks.AllPassed());
    return out;
  }
  // Judge a list that the TPM saw grow.
  Judged Judge(const ImaListBuilder& list) { return Judge(list.pcr(), ImaInput{0, list.list()}); }

  SoftTpmKey ak_{kAkAttributes};
  AttestationKey key_ = AttestationKey::FromArea(ak_.area()).value();
  FileSigner rsa_{pki::KeyType::kRsa, 1};
  FileSigner ecc_{pki::KeyType::kP256, 2};
  FileSigner stranger_{pki::KeyType::kP256, 3};
  std::vector<Bytes> pcrs_;
  ImaReferences references_;
};

TEST_F(ImaTest, PassesFilesThatAreListedOrSigned) {
  const ImaListBuilder list = GoodBoot()
                                  .Signed("/bin/a", "signed by rsa", rsa_.OfFile("signed by rsa"))
                                  .Signed("/bin/b", "signed by ecc", ecc_.OfFile("signed by ecc"));
  const Judged judged = Judge(list);

  EXPECT_EQ(judged.rule(), "") << judged.detail();
  EXPECT_EQ(judged.outcome->end.entries, list.entries());
  EXPECT_EQ(judged.outcome->end.aggregate, list.pcr());
  EXPECT_EQ(judged.outcome->end.boot_id, kBoot);
}

TEST_F(ImaTest, RefusesNoListAtAll) {
  EXPECT_EQ(Judge(GoodBoot().pcr(), std::nullopt).rule(), "ima.present");
}

TEST_F(ImaTest, RefusesAListWhenNoReferenceSaysWhatMayRun) {
  references_.parts.clear();
  EXPECT_EQ(Judge(GoodBoot()).rule(), "ima.reference");
}

TEST_F(ImaTest, RefusesAFileThatIsNotListedAndNamesIt) {
  const Judged judged = Judge(GoodBoot().File("/tmp/evil", "evil").File("/agent", "agent"));

  EXPECT_EQ(judged.rule(), "ima.file");
  EXPECT_THAT(judged.detail(), HasSubstr("/tmp/evil"));
  ASSERT_THAT(judged.outcome->diff, SizeIs(1));
  EXPECT_EQ(judged.outcome->diff[0].event_index, 3u);
  EXPECT_EQ(judged.outcome->diff[0].got, HexEncode(ImaListBuilder::FileDigest("evil")));
}

TEST_F(ImaTest, AListedNameWithOtherContentIsNotListed) {
  EXPECT_EQ(Judge(GoodBoot().File("/bin/sh", "another shell")).rule(), "ima.file");
}

TEST_F(ImaTest, ShowsAFewOfManyFiles) {
  ImaListBuilder list = GoodBoot();
  for (int i = 0; i < 50; ++i) list.File("/tmp/x", "evil " + std::to_string(i));
  EXPECT_THAT(Judge(list).outcome->diff, SizeIs(kImaDifferencesMax));
}

TEST_F(ImaTest, RefusesSignaturesOfStrangersAndOfOtherFiles) {
  EXPECT_EQ(Judge(GoodBoot().Signed("/x", "evil", stranger_.OfFile("evil"))).rule(), "ima.file");
  EXPECT_EQ(Judge(GoodBoot().Signed("/x", "evil", ecc_.OfFile("another"))).rule(), "ima.signature");
  EXPECT_EQ(Judge(GoodBoot().Signed("/x", "evil", Bytes(40, 1))).rule(), "ima.file");
  // Under the key id of a listed signer, by another key.
  const FileSigner forger(pki::KeyType::kP256, ecc_.key_id());
  EXPECT_EQ(Judge(GoodBoot().Signed("/x", "evil", forger.OfFile("evil"))).rule(), "ima.signature");
}

TEST_F(ImaTest, TriesEveryKeyOfAnId) {
  const FileSigner same_id(pki::KeyType::kRsa, ecc_.key_id());
  auto more = std::make_shared<ImaExpected>();
  more->signers.push_back({same_id.key_id(), same_id.key(), "other site"});
  references_.parts.push_back(std::move(more));

  EXPECT_EQ(Judge(GoodBoot().Signed("/x", "file", same_id.OfFile("file"))).rule(), "");
}

TEST_F(ImaTest, RefusesAViolation) {
  const Judged judged = Judge(GoodBoot().Violation("/bin/sh"));

  EXPECT_EQ(judged.rule(), "ima.violation");
  EXPECT_THAT(judged.detail(), HasSubstr("/bin/sh"));
}

TEST_F(ImaTest, RefusesAViolationThatIsCalledAnEntryAndAnEntryThatIsCalledAViolation) {
  const Bytes data = ImaListBuilder::Data("sha256", Bytes(32, 0), "/bin/sh", std::nullopt);
  const ImaListBuilder violated = GoodBoot().Violation("/bin/sh");
  const ImaListBuilder relabelled = GoodBoot().Entry("ima-ng", data);
  EXPECT_EQ(Judge(violated.pcr(), ImaInput{0, relabelled.list()}).rule(), "ima.replay");
  EXPECT_EQ(Judge(relabelled.pcr(), ImaInput{0, violated.list()}).rule(), "ima.replay");
}

TEST_F(ImaTest, RefusesWeakHashes) {
  const Bytes sha1 = ImaListBuilder::Data("sha1", Bytes(20, 1), "/bin/sh", std::nullopt);
  const Bytes sm3 =
      ImaListBuilder::Data("sm3", ImaListBuilder::FileDigest("shell"), "/bin/sh", std::nullopt);
  EXPECT_EQ(Judge(GoodBoot().Entry("ima-ng", sha1)).rule(), "ima.hash");
  EXPECT_EQ(Judge(GoodBoot().Entry("ima-ng", sm3)).rule(), "ima.hash");
}

TEST_F(ImaTest, RefusesOtherTemplatesPcrsAndFields) {
  const Bytes data = ImaListBuilder::Data("sha256", Bytes(32, 1), "/bin/sh", std::nullopt);
  EXPECT_EQ(Judge(GoodBoot().Entry("ima-buf", data)).rule(), "ima.template");
  EXPECT_EQ(Judge(GoodBoot().Entry("ima-ng", data, 11)).rule(), "ima.pcr");
  EXPECT_EQ(Judge(GoodBoot().Entry("ima-ng", Bytes(10, 0))).rule(), "ima.fields");
}

TEST_F(ImaTest, RefusesAListLongerThanAnyAndOneThatIsCut) {
  const Bytes huge(pki::kMeasurementListBytesMax + 1);
  EXPECT_EQ(Judge(GoodBoot().pcr(), ImaInput{0, huge}).rule(), "ima.size");
  const ImaListBuilder list = GoodBoot();
  for (size_t size = 0; size < list.list().size(); ++size) {
    const std::string rule =
        Judge(list.pcr(), ImaInput{0, ByteView(list.list()).first(size)}).rule();
    EXPECT_TRUE(rule == "ima.structure" || rule == "ima.replay") << size << rule;
  }
}

TEST_F(ImaTest, EveryFlippedBitIsRefusedOrChangesNothing) {
  const ImaListBuilder list = GoodBoot().Signed("/b", "by ecc", ecc_.OfFile("by ecc"));
  for (size_t bit = 0; bit < list.list().size() * 8; ++bit) {
    Bytes flipped = list.list();
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const Judged judged = Judge(list.pcr(), ImaInput{0, flipped});
    // The SHA-1 digest of an entry is read for being zero, and for nothing else.
    if (judged.rule().empty()) {
      EXPECT_EQ(judged.outcome->end.entries, list.entries());
      EXPECT_EQ(judged.outcome->end.aggregate, list.pcr());
    }
  }
}

TEST_F(ImaTest, RefusesAListThatHidesReordersOrInventsAnEntry) {
  const ImaListBuilder truth = GoodBoot().File("/tmp/evil", "evil");
  EXPECT_EQ(Judge(truth.pcr(), ImaInput{0, GoodBoot().list()}).rule(), "ima.replay");
  const ImaListBuilder reordered =
      Boot().File("/tmp/evil", "evil").File("/init", "init").File("/bin/sh", "shell");
  EXPECT_EQ(Judge(truth.pcr(), ImaInput{0, reordered.list()}).rule(), "ima.replay");
  const ImaListBuilder invented = GoodBoot().File("/agent", "agent");
  EXPECT_EQ(Judge(truth.pcr(), ImaInput{0, invented.list()}).rule(), "ima.replay");
}

TEST_F(ImaTest, JudgesUpToTheQuoteAndLeavesTheRestForTheNextTime) {
  const ImaListBuilder quoted = GoodBoot();
  ImaListBuilder read = GoodBoot().File("/tmp/evil", "evil");
  Bytes list = read.list();
  list.push_back(1);  // not even whole

  const Judged now = Judge(quoted.pcr(), ImaInput{0, list});
  EXPECT_EQ(now.rule(), "");
  EXPECT_EQ(now.outcome->end.entries, quoted.entries());

  const Bytes rest = ToBytes(ByteView(read.list()).subspan(quoted.list().size()));
  EXPECT_EQ(Judge(read.pcr(), ImaInput{quoted.entries(), rest}, now.outcome->end).rule(),
            "ima.file");
}

TEST_F(ImaTest, GoesOnWithNewEntriesAlone) {
  const ImaListBuilder before = GoodBoot();
  const ImaStart start = Judge(before).outcome->end;
  EXPECT_EQ(Judge(before.pcr(), ImaInput{start.entries, {}}, start).rule(), "");

  const ImaListBuilder after = GoodBoot().File("/agent", "agent");
  const ByteView added = ByteView(after.list()).subspan(before.list().size());
  const Judged judged = Judge(after.pcr(), ImaInput{start.entries, added}, start);
  EXPECT_EQ(judged.rule(), "");
  EXPECT_EQ(judged.outcome->end.entries, 4u);
  EXPECT_EQ(judged.outcome->end.aggregate, after.pcr());
}

TEST_F(ImaTest, TheWholeListIsAlwaysGoodInsteadOfTheNewEntries) {
  const ImaStart start = Judge(GoodBoot()).outcome->end;
  const ImaListBuilder after = GoodBoot().File("/agent", "agent");
  EXPECT_EQ(Judge(after.pcr(), ImaInput{0, after.list()}, start).rule(), "");
}

TEST_F(ImaTest, AsksForTheWholeListWhenTheKeptStateIsOfSomethingElse) {
  const ImaListBuilder before = GoodBoot();
  const ImaStart start = Judge(before).outcome->end;
  const ImaInput nothing_new{start.entries, {}};
  const auto rule = [&](const ImaInput& input, const ImaStart& from, const BootId& boot = kBoot) {
    return Judge(before.pcr(), input, from, kImaPcrMask, boot).rule();
  };
  EXPECT_EQ(rule(nothing_new, start), "");
  EXPECT_EQ(rule({start.entries - 1, {}}, start), "ima.continuation");
  EXPECT_EQ(rule({start.entries + 1, {}}, start), "ima.continuation");
  EXPECT_EQ(rule(nothing_new, start, kOtherBoot), "ima.continuation");
  EXPECT_EQ(rule(nothing_new, ImaStart::OfBoot(Bank::kSha256)), "ima.continuation");
  ImaStart other_bank = start;
  other_bank.aggregate = PcrDigest::Filled(Bank::kSha384, 0);
  EXPECT_EQ(rule(nothing_new, other_bank), "ima.continuation");
  // The list no longer has the prefix that was judged.
  const ImaListBuilder other = Boot().File("/agent", "agent");
  EXPECT_EQ(Judge(other.pcr(), nothing_new, start).rule(), "ima.continuation");
  // A change of the references.
  references_.parts.push_back(
      std::make_shared<ImaExpected>(ImaExpected{{}, {}, Sha256Digest::FromArray({9})}));
  EXPECT_EQ(rule(nothing_new, start), "ima.continuation");
}

TEST_F(ImaTest, RefusesABootAggregateThatIsMissingOrOfOtherPcrs) {
  EXPECT_EQ(Judge(ImaListBuilder().File("/init", "init")).rule(), "ima.boot-aggregate");
  EXPECT_EQ(Judge(ImaListBuilder()).rule(), "ima.boot-aggregate");  // IMA is off: nothing at all
  std::vector<Bytes> others = pcrs_;
  others[4][0] ^= 1;
  EXPECT_EQ(Judge(ImaListBuilder().BootAggregate(others)).rule(), "ima.boot-aggregate");
  const Bytes sha1 = ImaListBuilder::Data("sha1", Bytes(20, 1), kBootAggregate, std::nullopt);
  EXPECT_EQ(Judge(ImaListBuilder().Entry("ima-ng", sha1)).rule(), "ima.boot-aggregate");
}

TEST_F(ImaTest, ASecondBootAggregateIsAFileThatNobodyListed) {
  std::vector<Bytes> others = pcrs_;
  others[4][0] ^= 1;
  EXPECT_EQ(Judge(GoodBoot().BootAggregate(others)).rule(), "ima.file");
}

TEST_F(ImaTest, RefusesAQuoteThatDoesNotCoverWhatItNeeds) {
  const ImaListBuilder list = GoodBoot();
  EXPECT_EQ(Judge(list.pcr(), ImaInput{0, list.list()}, ImaStart::OfBoot(Bank::kSha256),
                  kImaPcrMask & ~(1u << 9))
                .rule(),
            "ima.boot-aggregate");
  EXPECT_EQ(
      Judge(list.pcr(), ImaInput{0, list.list()}, ImaStart::OfBoot(Bank::kSha256), kUnquoted10)
          .rule(),
      "ima.replay");
}

TEST_F(ImaTest, ChecksTheSignatureOfOneContentOnce) {
  ImaListBuilder list = GoodBoot();
  const Bytes good = ecc_.OfFile("content");
  for (int i = 0; i < 50; ++i) list.Signed("/x" + std::to_string(i), "content", good);
  EXPECT_EQ(Judge(list).rule(), "");
  list.File("/y", "content");  // without its signature
  EXPECT_EQ(Judge(list).rule(), "ima.file");
  EXPECT_THAT(Judge(list).outcome->diff, SizeIs(1));
}

TEST_F(ImaTest, ChecksABoundedNumberOfSignatures) {
  ImaListBuilder list = GoodBoot();
  const Bytes forged = ecc_.OfFile("another file");
  for (size_t i = 0; i < 40; ++i) list.Signed("/x", "f" + std::to_string(i), forged);
  // Many keys under one id: the bound is on checks, not on files.
  auto more = std::make_shared<ImaExpected>();
  for (int i = 0; i < 1000; ++i) more->signers.push_back({ecc_.key_id(), ecc_.key(), ""});
  references_.parts.push_back(std::move(more));

  const Judged judged = Judge(list);
  EXPECT_EQ(judged.rule(), "ima.signature");
  EXPECT_EQ(judged.outcome->diff.front().what, "its signature does not verify");
}

// The whole of a real boot: what Linux 6.1 listed and what swtpm quoted.
TEST_F(ImaTest, ReplaysARealBoot) {
  const std::string at = "ovmf/uki-sb-on-snakeoil/";
  const std::string yaml = VectorText(at + "pcrs.yaml");
  const auto value = [&](uint32_t pcr) {
    const std::string label =
        (pcr < 10 ? " " : "") + std::to_string(pcr) + (pcr < 10 ? " : 0x" : ": 0x");
    const size_t found = yaml.find(label, yaml.find("sha256:"));
    return HexDecode(yaml.substr(found + label.size(), 64)).value();
  };
  for (uint32_t pcr = 0; pcr < 10; ++pcr) pcrs_[pcr] = value(pcr);
  const PcrDigest quoted = PcrDigest::Of(value(kImaPcr));
  const Bytes list = VectorFile(at + "ima_binary.bin");

  const Judged refused = Judge(quoted, ImaInput{0, list});
  EXPECT_EQ(refused.rule(), "ima.file");
  EXPECT_THAT(refused.detail(), HasSubstr("/mods/dm-bufio.ko"));

  auto all = std::make_shared<ImaExpected>();
  ByteReader in(list, "list");
  while (in.remaining() > 0)
    all->files.insert(ToString(ParseImaEntry(pki::ReadMeasuredEntry(in).value())->digest));
  references_.parts.push_back(std::move(all));
  const Judged judged = Judge(quoted, ImaInput{0, list});
  EXPECT_EQ(judged.rule(), "") << judged.detail();
  EXPECT_EQ(judged.outcome->end.entries, 28u);
}

TEST_F(ImaTest, NamesASetOfReferencesInWhateverOrder) {
  const auto part = [](uint8_t n) {
    return std::make_shared<ImaExpected>(ImaExpected{{}, {}, Sha256Digest::FromArray({n})});
  };
  EXPECT_EQ((ImaReferences{{part(1), part(2)}}).Hash(), (ImaReferences{{part(2), part(1)}}).Hash());
  EXPECT_NE((ImaReferences{{part(1), part(2)}}).Hash(), (ImaReferences{{part(1)}}).Hash());
}

}  // namespace
}  // namespace sallyport::server
