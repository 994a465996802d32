// Evidence: what a full appraisal of a 100 KB event log and the appraisal of a renewal cost, beside
// their floors. Budgets (docs/architecture.md 9): >= 1,500 full verifications of a 100 KB log per
// second and core; a renewal is one P-256 verification and a digest comparison.
#include <benchmark/benchmark.h>

#include "attestation-server/evidence/verdict.h"
#include "tests/fakes/event_log_builder.h"
#include "tests/fakes/ima_list_builder.h"
#include "tests/fakes/soft_tpm_key.h"

namespace sallyport::server {
namespace {

constexpr auto kSha256 = pki::HashAlgorithm::kSha256;
constexpr size_t kLogBytes = 100'000;
constexpr uint32_t kMask = 1u << 0 | 1u << 4 | 1u << 7 | 1u << 9;

// A log of a distribution's boot: key databases of 40 KB, a hundred loads by the boot loader, the
// rest firmware.
Bytes MakeLog() {
  EventLogBuilder log;
  log.Hashed(0, EventType::kScrtmVersion, AsBytes("firmware 1"));
  log.Config(kGlobalVariableGuid, "SecureBoot", Bytes{1})
      .Config(kGlobalVariableGuid, "PK", Bytes(1000, 1));
  log.Config(kGlobalVariableGuid, "KEK", Bytes(3000, 1))
      .Config(kImageSecurityGuid, "db", Bytes(6000, 1));
  log.Config(kImageSecurityGuid, "dbx", Bytes(30'000, 1)).Separator(7);
  log.Action(4, "Calling EFI Application from Boot Option")
      .Separators()
      .Authority()
      .Application("uki");
  for (int i = 0; i < 100; ++i) log.Measured(9, EventType::kIpl, AsBytes("file"), Bytes(80, 1));
  while (log.bytes().size() + 500 < kLogBytes)
    log.Hashed(1, EventType::kHandoffTables, Bytes(500, 2));
  return log.bytes();
}

struct Bench {
  SoftTpmKey ak{kAkAttributes};
  Bytes log_bytes = MakeLog();
  ReplayedLog log = ReplayedLog::Make(log_bytes, kSha256).value();
  AttestationKey key = AttestationKey::FromArea(ak.area()).value();
  Bytes nonce = Bytes(32, 3);
  Bytes attest, signature;
  std::vector<Candidate> candidates{{ReferenceRole::kCommitted, Expectation{.label = "bench"}}};
  JudgeContext context;

  Bench() {
    AttestFields fields;
    fields.qualified_signer = ak.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = nonce;
    pki::Hasher hasher(kSha256);
    for (uint32_t pcr = 0; pcr < kPcrCount; ++pcr)
      if ((kMask >> pcr & 1) != 0) hasher.Update(log.pcrs().value(pcr).view());
    fields.body = QuoteBodyBytes({{pki::tpm::kAlgSha256, kMask}}, hasher.Finish());
    attest = fields.Write();
    signature = ak.Sign(attest);
    for (const uint32_t pcr : {4u, 7u, 9u}) {
      PcrEventsExpected events;
      for (const Event* const event : log.grammar(pcr).judged)
        events.push_back({event->type, PcrDigest::Of(event->digest(Bank::kSha256)), ""});
      candidates[0].expectation.pcrs.emplace(pcr, std::move(events));
    }
    context.quote.extra_data = nonce;
    context.quote.bank = kSha256;
    context.quote.pcr_mask = kMask;
    context.candidates = candidates;
  }

  Verdict JudgeWith(const AttestationKey& judged_key, const ReplayedLog& judged_log) const {
    return Judge({.ak = &judged_key,
                  .quote = {attest, signature},
                  .log = {&judged_log, std::nullopt},
                  .key = {}},
                 context);
  }
};

Bench& Shared() {
  static Bench bench;
  return bench;
}

void FullAppraisal100KB(benchmark::State& state) {
  Bench& bench = Shared();
  for (auto _ : state) {
    const AttestationKey key = AttestationKey::FromArea(bench.ak.area()).value();
    const ReplayedLog log = ReplayedLog::Make(bench.log_bytes, kSha256).value();
    SP_CHECK(bench.JudgeWith(key, log).passing());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(FullAppraisal100KB)->Unit(benchmark::kMicrosecond);

void ParseAndReplay100KB(benchmark::State& state) {
  Bench& bench = Shared();
  for (auto _ : state) benchmark::DoNotOptimize(ReplayedLog::Make(bench.log_bytes, kSha256));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ParseAndReplay100KB)->Unit(benchmark::kMicrosecond);

void RenewalAppraisal(benchmark::State& state) {
  Bench& bench = Shared();
  for (auto _ : state) SP_CHECK(bench.JudgeWith(bench.key, bench.log).passing());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(RenewalAppraisal)->Unit(benchmark::kMicrosecond);

void FloorP256Verify(benchmark::State& state) {
  Bench& bench = Shared();
  const pki::TpmSignature signature = pki::ParseTpmSignature(bench.signature).value();
  for (auto _ : state)
    SP_CHECK(bench.key.key().Verify(pki::SignatureScheme::kEcdsa, kSha256, bench.attest,
                                    signature.bytes));
}
BENCHMARK(FloorP256Verify)->Unit(benchmark::kMicrosecond);

void FloorSha256OfTheLog(benchmark::State& state) {
  Bench& bench = Shared();
  for (auto _ : state) benchmark::DoNotOptimize(pki::Sha256(bench.log_bytes));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bench.log_bytes.size()));
}
BENCHMARK(FloorSha256OfTheLog)->Unit(benchmark::kMicrosecond);

// A list of a boot: 2,000 files, all of them listed.
struct ImaBench {
  Bench& boot = Shared();
  ImaListBuilder list;
  ImaReferences references;
  std::optional<AuthenticatedPcrs> pcrs;

  ImaBench() {
    auto expected = std::make_shared<ImaExpected>();
    list.BootAggregate(std::vector<Bytes>(10, Bytes(32, 0)));
    for (int i = 0; i < 2000; ++i) {
      const std::string content = std::to_string(i);
      list.File("/usr/lib/x86_64-linux-gnu/libexample.so." + content, content);
      expected->files.insert(ToString(ImaListBuilder::FileDigest(content)));
    }
    references.parts.push_back(std::move(expected));
    pcrs = Quote();
  }
  AuthenticatedPcrs Quote() {
    std::vector<PcrValue> values;
    pki::Hasher hasher(kSha256);
    for (uint32_t pcr = 0; pcr <= kImaPcr; ++pcr) {
      values.push_back({pcr, pcr == kImaPcr ? list.pcr() : PcrDigest::Filled(Bank::kSha256, 0)});
      hasher.Update(values.back().value.view());
    }
    AttestFields fields;
    fields.qualified_signer = boot.ak.qualified_name(pki::tpm::kEndorsement);
    fields.extra_data = boot.nonce;
    fields.body = QuoteBodyBytes({{pki::tpm::kAlgSha256, kImaPcrMask}}, hasher.Finish());
    const Bytes attest = fields.Write();
    QuoteExpectation wanted = boot.context.quote;
    wanted.pcr_mask = kImaPcrMask;
    CheckList checks(QuoteRules());
    return CheckQuote(boot.key, {attest, boot.ak.Sign(attest), &values, nullptr}, wanted, checks)
        ->pcrs;
  }
};

ImaBench& SharedIma() {
  static ImaBench bench;
  return bench;
}

void ImaWholeList(benchmark::State& state) {
  ImaBench& bench = SharedIma();
  const ImaInput input{0, bench.list.list()};
  for (auto _ : state) {
    CheckList checks(ImaRules());
    CheckIma(*bench.pcrs, BootId::FromArray({}), &input,
             {ImaStart::OfBoot(Bank::kSha256), &bench.references}, checks);
    SP_CHECK(checks.AllPassed());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(bench.list.entries()));
}
BENCHMARK(ImaWholeList)->Unit(benchmark::kMicrosecond);

// The two hashes that each entry takes, however it is judged.
void FloorSha256OfImaEntries(benchmark::State& state) {
  const Bytes data(120, 1);
  PcrDigest pcr = PcrDigest::Filled(Bank::kSha256, 0);
  for (auto _ : state)
    pcr = HashWith(Bank::kSha256, pcr.view(), HashWith(Bank::kSha256, data).view());
  benchmark::DoNotOptimize(pcr);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(FloorSha256OfImaEntries);

}  // namespace
}  // namespace sallyport::server

BENCHMARK_MAIN();
