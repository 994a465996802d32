#include "ota/install/payload_source.h"

#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

// FileSink writes and hashes; a source that pushes more than was asked for is endless data.
class FileSink final : public ByteSink {
 public:
  FileSink(File& file, uint64_t length) : file_(file), length_(length) {}
  Result<Unit> Write(ByteView bytes) override {
    SP_TRY(CheckRoom(written_, bytes.size(), length_));
    SP_TRY(file_.WriteAt(written_, bytes));
    hash_.Update(bytes);
    written_ += bytes.size();
    return Unit{};
  }
  Result<Unit> Finish(const RemoteFile& file, std::string_view digest_rule) {
    SP_TRY(CheckComplete(written_, file.length));
    if (!Equal(hash_.Finish(), file.sha256.view()))
      return Error{Reason::kMismatch, file.path + " is not what was signed", digest_rule};
    return file_.Sync();
  }

 private:
  File& file_;
  const uint64_t length_;
  uint64_t written_ = 0;
  pki::Hasher hash_{pki::HashAlgorithm::kSha256};
};

}  // namespace

Result<Unit> FetchFile(FileSystem& files, PayloadSource& source, const RemoteFile& file,
                       const std::string& path, std::string_view digest_rule) {
  SP_TRY(const auto out, files.Open(path, OpenMode::kCreate));
  FileSink sink(*out, file.length);
  SP_TRY(source.Fetch(file, 0, file.length, sink));
  return sink.Finish(file, digest_rule);
}

Result<Unit> CheckRoom(uint64_t held, size_t more, uint64_t length) {
  if (more > length - held)
    return Error{Reason::kMismatch, "the source sends too much", "install.source-length"};
  return Unit{};
}

Result<Unit> CheckComplete(uint64_t held, uint64_t length) {
  if (held != length)
    return Error{Reason::kUnavailable, "the source broke off", "install.source-length"};
  return Unit{};
}

}  // namespace sallyport::ota
