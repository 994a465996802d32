#include "attestation-server/enrolment/candidates.h"

#include "attestation-server/reference/device_sets.h"

namespace sallyport::server {

namespace {

// LabelOf is unique among the rows of a device and says what it is.
std::string LabelOf(const ReferenceRow& row) {
  const std::string id = HexEncode(row.id).substr(0, 12);
  if (row.release.has_value()) return "release " + HexEncode(*row.release).substr(0, 12) + "/" + id;
  return "reference " + row.device_class + "/" + id;
}

std::vector<Expectation>& SetOf(DeviceSets& sets, ReferenceRole role) {
  switch (role) {
    case ReferenceRole::kCommitted: return sets.committed;
    case ReferenceRole::kPending: return sets.pending;
    case ReferenceRole::kRecovery: return sets.recovery;
    case ReferenceRole::kOwn: return sets.own;
  }
  std::abort();
}

}  // namespace

const OpenReference* OpenReferences::Matched(const std::string& matched_label) const {
  // A combined label begins with the release's (reference/device_sets.cc).
  for (const OpenReference& row : rows)
    if (matched_label == row.label || matched_label.starts_with(row.label + " on ")) return &row;
  return nullptr;
}

Result<OpenReferences> ReferenceReader::Open(const std::vector<JudgedReference>& rows,
                                             pki::HashAlgorithm bank) {
  OpenReferences out;
  DeviceSets sets;
  for (const JudgedReference& judged : rows) {
    std::shared_ptr<const ReferenceFile> file = files_.Find(judged.row.id);
    if (file == nullptr) {
      auto parsed = ParseReferenceFile(judged.row.json);
      if (!parsed.has_value())
        return Error{Reason::kInternal, parsed.error().ToString(), "reference.stored"};
      file = std::make_shared<const ReferenceFile>(std::move(parsed).value());
      files_.Put(judged.row.id, file);
    }
    if (file->bank != bank) {
      // What it committed to cannot be judged: the platform alone would admit any image.
      if (judged.role == ReferenceRole::kCommitted) return OpenReferences{};
      continue;
    }
    Expectation expectation = file->expectation;
    expectation.label = LabelOf(judged.row);
    out.rows.push_back({expectation.label, judged.row.id, judged.row.device_class,
                        judged.row.release, judged.role});
    std::vector<Expectation>& set =
        judged.role.has_value() ? SetOf(sets, *judged.role) : sets.platform;
    set.push_back(std::move(expectation));
  }
  out.candidates = ChooseCandidates(sets);
  return out;
}

}  // namespace sallyport::server
