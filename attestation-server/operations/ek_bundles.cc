#include "attestation-server/operations/ek_bundles.h"

#include <algorithm>
#include <set>

#include "pki/crypto/hash.h"
#include "pki/x509/pem.h"

namespace sallyport::server {
namespace {

std::string DigestOf(ByteView bytes) { return HexEncode(pki::Sha256(bytes)); }

EkFile FileOf(const pki::EkBundleEntry& entry, bool list) {
  const Bytes bytes = list ? entry.der : ToBytes(pki::CertificatePem(entry.der));
  return {entry.vendor, DigestOf(bytes) + (list ? ".crl" : ".pem"), bytes};
}

EkDirectory DirectoryOf(const pki::EkBundle& bundle, uint64_t version) {
  EkDirectory out;
  out.version = version;
  for (const pki::EkBundleEntry& entry : bundle.certificates)
    out.certificates.push_back(FileOf(entry, false));
  for (const pki::EkBundleEntry& entry : bundle.lists)
    out.revocation_lists.push_back(FileOf(entry, true));
  return out;
}

JsonValue EntryJson(const pki::EkBundleEntry& entry) {
  return JsonValue::Object({{"subject", entry.subject},
                            {"anchor", entry.anchor},
                            {"not_after", FormatRfc3339(entry.not_after)},
                            {"sha256", DigestOf(entry.der)}});
}

JsonValue RefusedJson(const pki::EkBundle& bundle) {
  std::vector<JsonValue> out;
  for (const pki::EkBundleRefusal& refusal : bundle.refused)
    out.push_back(JsonValue::Object({{"file", refusal.file},
                                     {"subject", refusal.subject},
                                     {"rule", refusal.rule},
                                     {"detail", refusal.detail}}));
  return JsonValue::Array(std::move(out));
}

// Held is what the directory held before: certificate digests by vendor.
using Held = std::map<std::string, std::set<std::string>>;

// HeldBy says nothing of a directory that no import wrote.
Held HeldBy(const EkDirectory& directory) {
  Held out;
  if (directory.version == 0) return out;
  for (const EkFile& file : directory.certificates) {
    const Result<std::vector<Bytes>> blocks = pki::ParseCertificatePem(AsText(file.bytes));
    if (!blocks.has_value()) continue;
    for (const Bytes& der : *blocks) out[file.vendor].insert(DigestOf(der));
  }
  return out;
}

JsonValue VendorJson(const std::string& vendor, const pki::EkBundle& bundle,
                     const std::set<std::string>& held) {
  std::vector<JsonValue> added;
  size_t kept = 0;
  for (const pki::EkBundleEntry& entry : bundle.certificates) {
    if (entry.vendor != vendor) continue;
    if (held.contains(DigestOf(entry.der)))
      ++kept;
    else
      added.push_back(EntryJson(entry));
  }
  return JsonValue::Object({{"vendor", vendor},
                            {"added", JsonValue::Array(std::move(added))},
                            {"kept", kept},
                            {"removed", held.size() - kept}});
}

JsonValue VendorsJson(const pki::EkBundle& bundle, const Held& held) {
  std::set<std::string> vendors;
  for (const pki::EkBundleEntry& entry : bundle.certificates) vendors.insert(entry.vendor);
  for (const auto& [vendor, digests] : held) vendors.insert(vendor);
  std::vector<JsonValue> out;
  for (const std::string& vendor : vendors) {
    const auto before = held.find(vendor);
    out.push_back(VendorJson(vendor, bundle,
                             before == held.end() ? std::set<std::string>() : before->second));
  }
  return JsonValue::Array(std::move(out));
}

JsonValue ReportOf(const std::string& profile, const EkDirectory& before,
                   const pki::EkBundle& bundle, bool imported) {
  return JsonValue::Object(
      {{"imported", imported},
       {"profile", profile},
       {"version", static_cast<int64_t>(before.version + (imported ? 1 : 0))},
       {"vendors", imported ? VendorsJson(bundle, HeldBy(before)) : JsonValue::Array({})},
       {"lists", imported ? bundle.lists.size() : 0},
       {"refused", RefusedJson(bundle)}});
}

}  // namespace

Result<std::string> EkBundleOperations::ProfileOf(const std::string& asked) const {
  if (asked.empty() && directories_.size() == 1) return directories_.begin()->first;
  if (asked.empty())
    return Error{Reason::kInvalidArgument, "several profiles: name one", "profile.ambiguous"};
  if (!directories_.contains(asked)) return Error{Reason::kNotFound, asked, "profile.unknown"};
  return asked;
}

Result<Unit> EkBundleOperations::Commit(const Operator& caller, const std::string& profile,
                                        const EkDirectory& content) {
  const std::string& directory = directories_.at(profile);
  // The audit first: an import that fails behind it is on record, one that works always is.
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(transaction.Audit("ek.bundle-imported",
                             JsonValue::Object({{"profile", profile},
                                                {"version", static_cast<int64_t>(content.version)},
                                                {"certificates", content.certificates.size()},
                                                {"lists", content.revocation_lists.size()},
                                                {"operator", caller.id}})));
    return Unit{};
  }));
  SP_TRY(WriteEkDirectory(files_, directory, content));
  SP_TRY(pki::EkRoots roots, LoadEkRoots(files_, directory));
  replace_(profile, std::move(roots));
  return Unit{};
}

Result<JsonValue> EkBundleOperations::Import(const Operator& caller, const EkBundleOrder& order,
                                             UnixTime now) {
  SP_TRY(const std::string profile, ProfileOf(order.profile));
  const pki::EkBundle bundle = pki::ScreenEkBundle(order.files, now);
  const std::lock_guard lock(import_mutex_);
  // A directory that does not read (touched, half copied) is what an import mends.
  const Result<EkDirectory> read = ReadEkDirectory(files_, directories_.at(profile));
  const EkDirectory before = read.has_value() ? *read : EkDirectory{};
  const bool anchored = std::ranges::any_of(bundle.certificates, &pki::EkBundleEntry::anchor);
  if (!anchored || (!bundle.refused.empty() && !order.skip_refused))
    return ReportOf(profile, before, bundle, false);
  SP_TRY(Commit(caller, profile, DirectoryOf(bundle, before.version + 1)));
  return ReportOf(profile, before, bundle, true);
}

}  // namespace sallyport::server
