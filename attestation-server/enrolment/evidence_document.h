// The evidence document: one proof as JSON, with everything that its verdict was a function of
// (enrolment/judging.h), so that the verdict can be reached again from it, its log and the
// reference sets that it names. Tokens and activation proofs are not in it. Its SHA-256 is its name
// among the evidence blobs and stands in the audit. Pure; thread-safe.
#pragma once

#include "attestation-server/enrolment/judging.h"

namespace sallyport::server {

// StoredProof is a document as read.
struct StoredProof {
  std::string trust_domain;
  Sha256Digest server_leaf_hash = Sha256Digest::FromArray({});
  Ticket ticket;              // without the secret
  ReceivedEvidence evidence;  // without its log
  Sha256Digest log_hash = Sha256Digest::FromArray({});
  JudgeTerms terms;
  std::vector<OpenReference> references;  // the sets it was judged under, without labels

  // sent_log: the hash is not that of nothing.
  bool sent_log() const;
};

std::string WriteEvidenceDocument(const Case& proof, std::string_view trust_domain,
                                  const JudgeTerms& terms,
                                  const std::vector<OpenReference>& references);

// ReadEvidenceDocument: kUnsupported ("evidence.document-version") for another format or protocol;
// kMalformed (rules of JsonCursor, "evidence.document") otherwise.
Result<StoredProof> ReadEvidenceDocument(std::string_view json);

// OpenStored makes the case of a stored proof again: T is computed anew from what the document
// holds. `log` is the blob that `log_hash` names, empty unless sent_log(). Borrows `stored`. Errors
// as of Intake::Open.
Result<Case> OpenStored(const StoredProof& stored, Bytes log);

}  // namespace sallyport::server
