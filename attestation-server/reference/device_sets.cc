#include "attestation-server/reference/device_sets.h"

namespace sallyport::server {
namespace {

// LoaderOf are the events of PCR 4 from before the image of `platform`: boot loaders, shim. That
// image brought the last ones: itself and, unless Secure Boot is on, the kernel inside it.
PcrEventsExpected LoaderOf(const Expectation& platform) {
  const auto pcr4 = platform.pcrs.find(4);
  const auto* const events =
      pcr4 == platform.pcrs.end() ? nullptr : std::get_if<PcrEventsExpected>(&pcr4->second);
  const size_t of_image = platform.secure_boot == true ? 1 : 2;
  if (events == nullptr || events->size() <= of_image) return {};
  return {events->begin(), events->end() - static_cast<ptrdiff_t>(of_image)};
}

std::optional<Expectation> Combine(const Expectation& platform, const Expectation& release) {
  if (platform.secure_boot && release.secure_boot && platform.secure_boot != release.secure_boot)
    return std::nullopt;
  Expectation out = platform;
  PutImage(release, out);
  if (release.secure_boot) out.secure_boot = release.secure_boot;
  out.ima.insert(out.ima.end(), release.ima.begin(), release.ima.end());
  out.label = release.label + " on " + platform.label;
  return out;
}

void AddRole(ReferenceRole role, const std::vector<Expectation>& releases,
             const std::vector<Expectation>& platform, std::vector<Candidate>& out) {
  for (const Expectation& release : releases) {
    if (platform.empty()) out.push_back({role, release});
    for (const Expectation& base : platform)
      if (std::optional<Expectation> combined = Combine(base, release))
        out.push_back({role, *std::move(combined)});
  }
}

PcrEventsExpected EventsOf(const std::vector<Sha256Digest>& digests, std::optional<EventType> type,
                           const std::string& what) {
  PcrEventsExpected out;
  for (const Sha256Digest& digest : digests)
    out.push_back({type, PcrDigest::Of(digest.view()), what});
  return out;
}

}  // namespace

void PutImage(const Expectation& release, Expectation& platform) {
  PcrEventsExpected pcr4 = LoaderOf(platform);
  for (const auto& [pcr, expectation] : release.pcrs)
    platform.pcrs.insert_or_assign(pcr, expectation);
  const auto image = platform.pcrs.find(4);
  if (pcr4.empty() || !release.pcrs.contains(4)) return;
  auto* const events = std::get_if<PcrEventsExpected>(&image->second);
  if (events == nullptr) return;
  pcr4.insert(pcr4.end(), events->begin(), events->end());
  *events = std::move(pcr4);
}

std::vector<Candidate> ChooseCandidates(const DeviceSets& sets) {
  std::vector<Candidate> out;
  if (sets.committed.empty())
    for (const Expectation& base : sets.platform) out.push_back({ReferenceRole::kCommitted, base});
  std::vector<Expectation> platform = sets.platform;
  platform.insert(platform.end(), sets.own.begin(), sets.own.end());
  AddRole(ReferenceRole::kCommitted, sets.committed, platform, out);
  AddRole(ReferenceRole::kPending, sets.pending, platform, out);
  AddRole(ReferenceRole::kRecovery, sets.recovery, platform, out);
  for (const Expectation& own : sets.own) out.push_back({ReferenceRole::kOwn, own});
  return out;
}

std::vector<Expectation> ExpectationsOfRelease(const ota::Release& release) {
  const std::string what = release.product + " " + release.version.text();
  const ota::ExpectedMeasurements& measured = release.measurements;
  std::vector<Expectation> out;
  const auto add = [&](bool secure_boot, const std::vector<Sha256Digest>& pcr4) {
    if (pcr4.empty()) return;
    Expectation expectation{.label = what, .secure_boot = secure_boot};
    expectation.pcrs.emplace(4, EventsOf(pcr4, EventType::kBootServicesApplication, what));
    if (!measured.pcr11_events.empty())
      expectation.pcrs.emplace(11, EventsOf(measured.pcr11_events, std::nullopt, what));
    out.push_back(std::move(expectation));
  };
  add(false, measured.pcr4_secure_boot_off);
  add(true, measured.pcr4_secure_boot_on);
  return out;
}

}  // namespace sallyport::server
