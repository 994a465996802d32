#include "attestation-server/store/evidence_blobs.h"

#include "attestation-server/store/limits.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {

std::string EvidenceBlobs::PathOf(const Sha256Digest& hash) const {
  const std::string hex = HexEncode(hash);
  return directory_ + "/" + hex.substr(0, 2) + "/" + hex;
}

Result<Sha256Digest> EvidenceBlobs::Put(ByteView bytes) {
  if (bytes.size() > kEvidenceBlobMax)
    return Error{Reason::kTooLarge, "evidence blob", "evidence.size"};
  const Sha256Digest hash = pki::Sha256(bytes);
  const std::string path = PathOf(hash);
  const std::lock_guard lock(blob_mutexes_[hash.view().front() % blob_mutexes_.size()]);
  if (files_->Open(path, OpenMode::kRead).has_value()) return hash;
  if (Result<Unit> written = Write(path, bytes); !written.has_value()) {
    const Error& error = written.error();
    const bool full = error.reason == Reason::kNoSpace;
    return Error{full ? Reason::kNoSpace : Reason::kUnavailable, error.detail, "evidence.store"};
  }
  return hash;
}

Result<Unit> EvidenceBlobs::Write(const std::string& path, ByteView bytes) {
  SP_TRY(files_->MakeDirectories(ParentDirectory(path)));
  return WriteFileAtomically(*files_, path, bytes);
}

Result<Bytes> EvidenceBlobs::Get(const Sha256Digest& hash) {
  SP_TRY(Bytes bytes, ReadFile(*files_, PathOf(hash), kEvidenceBlobMax));
  if (pki::Sha256(bytes) != hash)
    return Error{Reason::kMismatch, "blob is not what its name says", "evidence.blob"};
  return bytes;
}

}  // namespace sallyport::server
