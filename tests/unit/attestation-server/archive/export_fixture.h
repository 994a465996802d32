// A small deployment with an enrolment, a renewal and a failed boot, and its export in a folder.
#pragma once

#include <algorithm>

#include "attestation-server/archive/export_folder.h"
#include "attestation-server/operations/audit_export.h"
#include "attestation-server/store/limits.h"
#include "pki/ca/trust_bundle.h"
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {

class ExportTest : public FlowTest {
 protected:
  ExportTest() {
    MustEnrol(device_);
    now_ = now_ + Seconds(1);
    SP_CHECK(std::holds_alternative<Admitted>(Renew(device_)));
    device_.Boot("evil");
    now_ = now_ + Seconds(1);
    SP_CHECK(RuleOf(Reattest(device_)) == "pcr.4");
  }

  std::string Bundle(const pki::PrivateKey& key) {
    pki::TrustBundle bundle =
        pki::BundleOf(hierarchy_, pki::TrustDomain::Parse("edge.example").value(), 1);
    bundle.audit_key = key.public_key();
    return pki::WriteTrustBundle(bundle);
  }
  AuditExport Service() {
    return AuditExport(*database_, blobs_, CheckpointSigner::Make(key_).value(),
                       {"edge.example", 1, Bundle(key_)});
  }
  ExportSource Source() {
    return [this](const ExportQuery& query) { return Service().Answer(query, now_); };
  }
  ExportReport Export() { return WriteExport(out_, kFolder, Source()).value(); }
  Result<ExportFolder> Opened() { return ExportFolder::Open(out_, kFolder, Bundle(key_)); }
  // Checked is the rule by which the export is refused, or "intact".
  std::string Checked() {
    Result<ExportFolder> folder = Opened();
    if (!folder) return std::string(folder.error().name());
    const Result<ExportReport> report = folder->Check();
    return report ? "intact" : std::string(report.error().name());
  }
  // VerdictOf is the newest of a purpose.
  VerdictRow VerdictOf(std::string_view purpose) {
    auto snapshot = database_->Read();
    const std::vector<VerdictRow> rows =
        ListVerdicts(snapshot.value().connection(), IdOf(device_), 10).value();
    const auto row = std::ranges::find(rows, purpose, &VerdictRow::purpose);
    SP_CHECK(row != rows.end());
    return *row;
  }
  // Edit changes one file of the export.
  void Edit(const std::string& path, const std::function<void(std::string&)>& change) {
    std::string text = ToString(ReadFile(out_, path, kExportFileMax).value());
    change(text);
    SP_CHECK(WriteFileAtomically(out_, path, AsBytes(text)).has_value());
  }
  std::string BlobPath(const Sha256Digest& hash) {
    const std::string hex = HexEncode(hash);
    return BlobsPath(kFolder) + "/" + hex.substr(0, 2) + "/" + hex;
  }

  static constexpr const char* kFolder = "/export";
  pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeyType::kEd25519);
  FakeTpmDevice device_{vendor_};
  MemoryFileSystem out_;
};

}  // namespace sallyport::server
