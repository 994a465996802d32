// The screen of EK certificates on any bytes: how they are taken from NV, read and judged, and the
// revocation lists. Seeds: tests/vectors/ek.
#include "pki/x509/ek_chain.h"

namespace {

using namespace sallyport;       // NOLINT(google-build-using-namespace)
using namespace sallyport::pki;  // NOLINT(google-build-using-namespace)

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

// Original bytes are kept: what was read stands in the input as it is.
void CheckKept(ByteView whole, const Bytes& der) {
  const bool pem = AsText(whole).find("-----BEGIN") != std::string_view::npos;
  SP_CHECK(der.size() <= kEkCertificateBytesMax);
  SP_CHECK(pem || !std::ranges::search(whole, der).empty());
}

// A certificate judged twice, or read again from the bytes it kept, says the same.
void CheckRead(const EkCertificate& certificate) {
  const Result<EkCertificate> again = ReadEkCertificate(certificate.der);
  SP_CHECK(again.has_value() && again->der == certificate.der && again->spki == certificate.spki &&
           again->manufacturer == certificate.manufacturer &&
           again->deviation == certificate.deviation);
  const std::vector<EkCheck> checks = CheckEkProfile(certificate);
  const Result<EkCertificate> parsed = ParseEkCertificate(certificate.der);
  SP_CHECK(parsed.has_value() == RequireAll(checks).has_value());
  for (const EkCheck& check : checks)
    SP_CHECK(!check.rule.empty() && (check.result != CheckResult::kFail || !check.detail.empty()));
}

// A chain is there exactly when the rule about it passed.
void CheckChain(const EkCertificate& certificate, const std::vector<Bytes>& taken) {
  const Result<EkRoots> roots = EkRoots::FromCertificates(taken);
  if (!roots.has_value()) return;
  const EkRoots::Judgement judged = roots->Judge(certificate, {}, kNow);
  SP_CHECK(judged.chain.empty() == (judged.checks.front().result != CheckResult::kPass));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes(data, size);
  const Result<std::vector<EkCrl>> lists = EkCrl::FromFile(bytes);
  SP_CHECK(lists.has_value() ? !lists->empty() : !lists.error().rule.empty());
  const Result<std::vector<Bytes>> taken = TakeEkCertificates(bytes);
  SP_CHECK(taken.has_value() ? !taken->empty() && taken->size() <= kEkChainMax
                             : !taken.error().rule.empty());
  if (!taken.has_value()) return 0;
  for (const Bytes& der : *taken) {
    CheckKept(bytes, der);
    const Result<EkCertificate> read = ReadEkCertificate(der);
    SP_CHECK(read.has_value() || !read.error().rule.empty());
    if (!read.has_value()) continue;
    SP_CHECK(read->der == der);
    CheckRead(*read);
    CheckChain(*read, *taken);
  }
  return 0;
}
