#include "pki/crypto/file_hash.h"

#include "pki/crypto/hash.h"

namespace sallyport::pki {

Result<FileHash> HashFile(File& file, const std::function<Result<Unit>(ByteView piece)>& take) {
  Hasher hash(HashAlgorithm::kSha256);
  Bytes buffer(kHashedPiece);
  uint64_t length = 0;
  while (true) {
    SP_TRY(const size_t size, file.ReadAt(length, buffer));
    const ByteView piece = ByteView(buffer).first(size);
    hash.Update(piece);
    if (take) SP_TRY(take(piece));
    length += size;
    if (size < buffer.size()) break;
  }
  SP_TRY(const Sha256Digest sha256, Sha256Digest::FromView(hash.Finish()));
  return FileHash{length, sha256};
}

}  // namespace sallyport::pki
