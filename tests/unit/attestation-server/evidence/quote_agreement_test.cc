// Agreement with what others say of quotes that we did not make: docs/verifier.md, "Agreement", has
// the differences and why.
#include <gtest/gtest.h>

#include <sstream>

#include "attestation-server/evidence/quote.h"
#include "pki/base/json.h"
#include "pki/tpm/creation_data.h"
#include "tests/fakes/vector_file.h"

namespace sallyport::server {
namespace {

struct Sample {
  std::string name;
  Bytes attest, signature, nonce;
  AttestationKey ak;
  std::optional<std::vector<PcrValue>> values = {};
};

AttestationKey PemKey(const std::string& file) {
  return AttestationKey::FromPublicKey(pki::PublicKey::FromPem(VectorText(file)).value());
}

// Accepts: whether nothing failed of what the sample lets be asked.
bool Accepts(const Sample& sample) {
  const Result<pki::Attest> parsed = pki::ParseAttest(sample.attest);
  if (!parsed || parsed->quote() == nullptr || parsed->quote()->selection.size() != 1) return false;
  const pki::PcrBank& bank = parsed->quote()->selection.front();
  const Result<pki::HashAlgorithm> judged = pki::HashFromTpm(bank.algorithm);
  if (!judged) return false;  // no policy can ask for a SHA-1 bank
  QuoteExpectation expected{};
  expected.extra_data = sample.nonce;
  expected.bank = *judged;
  expected.pcr_mask = bank.bitmap;
  expected.ak_parent = AkParent::kAny;
  CheckList checks(QuoteRules());
  static_cast<void>(CheckQuote(
      sample.ak,
      {sample.attest, sample.signature, sample.values ? &*sample.values : nullptr, nullptr},
      expected, checks));
  return checks.FirstFailure() == nullptr && checks.Of("quote.signature") == CheckResult::kPass &&
         (!sample.values || checks.Of("quote.digest") == CheckResult::kPass);
}

Sample OfGce(const std::string& bank) {
  const std::string dir = "attest/gce-cos-85-no-nonce/";
  Sample out{
      "gce " + bank,
      VectorFile(dir + "quote-" + bank + ".tpms_attest"),
      VectorFile(dir + "quote-" + bank + ".tpmt_signature"),
      {},
      AttestationKey::FromArea(pki::ParsePublicArea(VectorFile(dir + "ak.tpmt_public")).value())
          .value()};
  const JsonValue json = ParseJson(VectorText(dir + "pcrs-" + bank + ".json")).value();
  out.values.emplace();
  for (const JsonMember& member : *json.if_object())
    out.values->push_back({static_cast<uint32_t>(std::stoul(member.key)),
                           PcrDigest::Of(HexDecode(*member.value.if_string()).value())});
  return out;
}

Sample OfKeylime(const std::string& dir, const std::string& nonce) {
  return {dir, VectorFile("attest/" + dir + "/quote.out"),
          VectorFile("attest/" + dir + "/quotesig.out"), VectorFile("attest/" + dir + "/" + nonce),
          PemKey("attest/keylime-tpm2-quote/akpub.pem")};
}

// An EnactTrust token: 16 bytes of node id, TPM2B_ATTEST, TPMT_SIGNATURE.
Sample OfVeraison() {
  const std::string dir = "attest/veraison-tpm-enacttrust/";
  const Bytes token = VectorFile(dir + "evidence/basic.token");
  ByteReader reader(token, "token");
  static_cast<void>(reader.Take(16).value());
  const Bytes attest = ToBytes(reader.Sized16(pki::kAttestBytesMax).value());
  Sample out{"veraison", attest, ToBytes(reader.rest()), {}, PemKey(dir + "keys/basic.pem.pub")};
  out.nonce = pki::ParseAttest(attest).value().extra_data;
  return out;
}

// A measured boot of OVMF with the values that tpm2_pcrread showed.
Sample OfOvmf(const std::string& boot) {
  const std::string dir = "ovmf/" + boot + "/";
  Sample out{boot, VectorFile(dir + "quote.msg"), VectorFile(dir + "quote.sig"),
             HexDecode(VectorText(dir + "nonce")).value(), PemKey(dir + "ak.pub")};
  const uint32_t quoted = pki::ParseAttest(out.attest).value().quote()->selection.at(0).bitmap;
  const std::string pcrs = VectorText(dir + "pcrs.yaml");
  std::istringstream lines(pcrs.substr(pcrs.find("sha256:")));
  out.values.emplace();
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.find("0x") != std::string::npos) {
    const auto pcr = static_cast<uint32_t>(std::stoul(line));
    std::string hex = line.substr(line.find("0x") + 2);
    for (char& c : hex) c = static_cast<char>(std::tolower(c));
    if ((quoted >> pcr & 1) != 0)
      out.values->push_back({pcr, PcrDigest::Of(HexDecode(hex).value())});
  }
  return out;
}

// A key that its TPM certified at its creation, with a SHA-1 signature.
bool AcceptsInfineonCreation() {
  const std::string dir = "attest/akcreate-rsa-infineon/";
  const auto area = pki::ParsePublicArea(VectorFile(dir + "Public.bin"));
  return area.has_value() &&
         pki::VerifyTpmSignature(*area, VectorFile(dir + "CreateAttestation.bin"),
                                 VectorFile(dir + "CreateSignature.bin"))
             .has_value();
}

TEST(QuoteAgreement, DiffersOverSha1Alone) {
  std::vector<Sample> samples{OfGce("sha1"), OfGce("sha256"), OfGce("sha384"),
                              OfKeylime("keylime-tpm2-quote", "rand.out"), OfVeraison()};
  for (int i = 0; i < 6; ++i)
    samples.push_back(OfKeylime("keylime-deluxequote-" + std::to_string(i), "nonce.bin"));
  for (const char* const boot :
       {"ab-sb-off-step5-v1", "ab-sb-off-step6-v2", "ab-sb-on-slotA-v1", "grub-sb-off",
        "sdboot-uki-sb-off", "uki-sb-off", "uki-sb-off-multibank", "uki-sb-on-snakeoil"})
    samples.push_back(OfOvmf(boot));
  std::vector<std::string> differ;
  for (const Sample& sample : samples)
    if (!Accepts(sample)) differ.push_back(sample.name);
  if (!AcceptsInfineonCreation()) differ.push_back("infineon creation");

  std::printf("attestations %zu/%zu\n", samples.size() + 1 - differ.size(), samples.size() + 1);
  EXPECT_EQ(differ, (std::vector<std::string>{"gce sha1", "infineon creation"}));
}

}  // namespace
}  // namespace sallyport::server
