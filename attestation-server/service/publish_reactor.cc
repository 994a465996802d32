#include "attestation-server/service/publish_reactor.h"

#include "attestation-server/service/status.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

class PublishReactor final : public grpc::ServerReadReactor<api::PublishChunk> {
 public:
  PublishReactor(Result<Operator> caller, const PublishParts& parts, api::JsonReply* reply)
      : caller_(std::move(caller)), parts_(parts), reply_(reply) {
    if (caller_)
      StartRead(&chunk_);
    else
      Finish(ToStatus(caller_.error()));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Publish();
    const Result<Unit> stored = Store();
    if (!stored) return Finish(ToStatus(stored.error()));
    StartRead(&chunk_);
  }

  void OnDone() override { delete this; }

 private:
  Result<Unit> Store() {
    if (!chunk_.path().empty()) SP_TRY(Begin());
    if (!file_) return Error{Reason::kInvalidArgument, "data before a path", "publish.order"};
    written_ += chunk_.data().size();
    if (written_ > kUploadBytesMax)
      return Error{Reason::kTooLarge, path_ + " is too large", "publish.size"};
    SP_TRY(file_->WriteAt(written_ - chunk_.data().size(), AsBytes(chunk_.data())));
    hasher_->Update(AsBytes(chunk_.data()));
    return chunk_.last() ? End() : Ok();
  }

  Result<Unit> Begin() {
    SP_TRY(path_, parts_.publication.UploadPath(chunk_.path()));
    SP_TRY(parts_.files.MakeDirectories(ParentDirectory(path_)));
    SP_TRY(file_, parts_.files.Open(path_ + ".part", OpenMode::kCreate));
    hasher_.emplace(pki::HashAlgorithm::kSha256);
    written_ = 0;
    return Unit{};
  }

  Result<Unit> End() {
    SP_TRY(file_->Sync());
    file_.reset();
    SP_TRY(CheckDigest(HexEncode(hasher_->Finish())));
    SP_TRY(parts_.files.Rename(path_ + ".part", path_));
    return parts_.files.SyncDirectory(ParentDirectory(path_));
  }

  // Targets are immutable and carry their digest in their name: no upload can put other bytes under
  // it.
  Result<Unit> CheckDigest(const std::string& digest) const {
    const std::string name = path_.substr(path_.rfind('/') + 1);
    if (path_.find("/targets/") == std::string::npos || name.starts_with(digest + "."))
      return Unit{};
    return Error{Reason::kMismatch, name + " does not hold what its name says", "publish.digest"};
  }

  void Publish() {
    if (file_)
      return Finish(
          ToStatus(Error{Reason::kInvalidArgument, path_ + " was not completed", "publish.order"}));
    const bool posted = parts_.pool.TryPost([this] {
      const Result<JsonValue> published = parts_.publication.Publish(*caller_, parts_.clock.Wall());
      if (!published) return Finish(ToStatus(published.error()));
      reply_->set_json(WriteJson(*published));
      Finish(grpc::Status::OK);
    });
    if (!posted) Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"));
  }

  const Result<Operator> caller_;
  PublishParts parts_;
  api::JsonReply* const reply_;
  api::PublishChunk chunk_;
  std::unique_ptr<File> file_;
  std::optional<pki::Hasher> hasher_;
  std::string path_;
  uint64_t written_ = 0;
};

}  // namespace

grpc::ServerReadReactor<api::PublishChunk>* MakePublishReactor(Result<Operator> caller,
                                                               const PublishParts& parts,
                                                               api::JsonReply* reply) {
  return new PublishReactor(std::move(caller), parts, reply);
}

}  // namespace sallyport::server
