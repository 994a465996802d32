#include "attestation-server/evidence/certified_floors.h"

namespace sallyport::server {
namespace {

constexpr AttestRules kAttestRules{"floors.size",  "floors.scheme", "floors.signature",
                                   "floors.magic", "floors.type",   "floors.structure"};
constexpr std::string_view kRules[] = {
    "floors.complete",   "floors.size", "floors.scheme",    "floors.signature",
    "floors.magic",      "floors.type", "floors.structure", "floors.qualified-signer",
    "floors.extra-data", "floors.boot", "floors.index",     "floors.contents",
    "floors.base"};
// Those that run once per index.
constexpr std::span<const std::string_view> kIndexRules(std::begin(kRules) + 1,
                                                        std::size(kRules) - 2);

struct WantedIndex {
  std::string_view what;
  Bytes name;
  size_t size;
};

std::vector<WantedIndex> WantedIndices() {
  std::vector<WantedIndex> out{{"base", pki::FloorBaseIndexName(), pki::FloorBaseArea().size}};
  for (size_t i = 0; i < pki::kFloorCounters; ++i) {
    const auto counter = static_cast<pki::FloorCounter>(i);
    out.push_back({pki::FloorCounterName(counter), pki::FloorCounterIndexName(counter),
                   pki::FloorCounterArea(counter).size});
  }
  return out;
}

class FloorChecker {
 public:
  FloorChecker(const AttestationKey& ak, ByteView extra_data, AkParent parent,
               const AuthenticatedQuote& quote)
      : ak_(ak), extra_data_(extra_data), parent_(parent), quote_(quote) {}

  // Contents returns what the index holds; nothing when a rule failed in `checks`.
  std::optional<Bytes> Contents(const FloorInput& input, const WantedIndex& wanted,
                                CheckList& checks) const {
    const std::optional<SignedAttest> verified = CheckAttestSignature(
        ak_, input.attest, input.signature, pki::tpm::AttestType::kNv, kAttestRules, checks);
    if (!verified) return std::nullopt;
    const pki::Attest& attest = verified->attest;
    const pki::NvBody& body = *attest.nv();
    bool good = CheckSigner(ak_, parent_, attest, "floors.qualified-signer", checks);
    good &=
        checks.Require("floors.extra-data", pki::ConstantTimeEqual(attest.extra_data, extra_data_),
                       "does not answer this challenge");
    good &= checks.Require("floors.boot",
                           attest.clock.reset_count == quote_.clock.reset_count &&
                               attest.clock.restart_count == quote_.clock.restart_count,
                           "the tpm was reset after the quote");
    good &= checks.Require("floors.index", body.index_name == wanted.name,
                           "not the index that holds it, or not defined as ours");
    good &=
        checks.Require("floors.contents", body.offset == 0 && body.contents.size() == wanted.size,
                       "part of the index, or more");
    if (!good) return std::nullopt;
    return body.contents;
  }

 private:
  const AttestationKey& ak_;
  const ByteView extra_data_;
  const AkParent parent_;
  const AuthenticatedQuote& quote_;
};

// Copy takes the outcome for one index over into `checks`, naming the index.
void Copy(const CheckList& of_one, std::string_view what, CheckList& checks) {
  for (const Check& check : of_one.checks()) {
    if (check.result == CheckResult::kPass) checks.Pass(check.rule);
    if (check.result == CheckResult::kFail)
      checks.Fail(check.rule, std::string(what) + ": " + check.detail);
  }
}

CertifiedFloors Assemble(const std::vector<Bytes>& contents) {
  CertifiedFloors out{};
  out.base = pki::ParseFloorCounts(contents.front()).value();  // sizes were checked
  for (size_t i = 0; i < pki::kFloorCounters; ++i)
    out.counts[i] = ByteReader(contents[i + 1], "counter").BigU64().value();
  return out;
}

}  // namespace

std::span<const std::string_view> FloorRules() { return kRules; }

std::optional<CertifiedFloors> CheckFloors(const AttestationKey& ak,
                                           std::span<const FloorInput> input, ByteView extra_data,
                                           AkParent ak_parent, const AuthenticatedQuote& quote,
                                           CheckList& checks) {
  const std::vector<WantedIndex> wanted = WantedIndices();
  if (!checks.Require("floors.complete", input.size() == wanted.size(),
                      "not the base and every counter"))
    return std::nullopt;
  const FloorChecker checker(ak, extra_data, ak_parent, quote);
  std::vector<Bytes> contents;
  for (size_t i = 0; i < wanted.size(); ++i) {
    CheckList of_one(kIndexRules);
    std::optional<Bytes> held = checker.Contents(input[i], wanted[i], of_one);
    const bool last = i + 1 == wanted.size();
    if (!held || last) Copy(of_one, wanted[i].what, checks);
    if (!held) return std::nullopt;
    contents.push_back(*std::move(held));
  }
  const CertifiedFloors out = Assemble(contents);
  for (size_t i = 0; i < pki::kFloorCounters; ++i)
    if (out.counts[i] < out.base[i]) {
      checks.Fail("floors.base", std::string(wanted[i + 1].what) + " stands below its base");
      return std::nullopt;
    }
  checks.Pass("floors.base");
  return out;
}

}  // namespace sallyport::server
