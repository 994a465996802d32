#include "ota/repository/ceremony.h"

#include "ota/metadata/uptane.h"
#include "ota/repository/keys.h"
#include "ota/repository/sign.h"

namespace sallyport::ota {
namespace {

class Ceremony {
 public:
  Ceremony(FileSystem& files, std::string keys, std::string repository,
           const CeremonyOptions& options, UnixTime now)
      : files_(files),
        keys_(std::move(keys)),
        repository_(std::move(repository)),
        options_(options),
        now_(now) {}

  Result<Unit> Run() {
    const size_t root_keys = options_.threshold == 1 ? 1 : options_.threshold + 1;
    SP_TRY(root_, MakeOffline("root", root_keys));
    SP_TRY(targets_, MakeOffline("targets", options_.threshold));
    SP_TRY(policy_, MakeOffline("policy", options_.threshold));
    SP_TRY(FoundImageRepository());
    return FoundDirector();
  }

 private:
  std::string PathOf(std::string_view name) const { return keys_ + "/" + std::string(name); }

  // Everyone whose key is made here signs now; later each person signs alone.
  Result<RoleSpec> MakeOffline(const std::string& role, size_t count) {
    RoleSpec out{{}, options_.threshold};
    for (size_t i = 1; i <= count; ++i) {
      SP_TRY(
          Signer signer,
          CreateKeyFile(files_, PathOf("offline/" + role + "-" + std::to_string(i) + ".pem"),
                        {.passphrase = options_.offline_passphrase, .kdf = options_.offline_kdf}));
      out.keys.push_back(signer.key.public_key());
      signers_[role].push_back(std::move(signer));
    }
    return out;
  }

  Result<Signer> MakeOnline(std::string_view name, RoleSpec& role) {
    SP_TRY(Signer signer,
           CreateKeyFile(files_, PathOf(name),
                         {.passphrase = options_.online_passphrase, .kdf = options_.online_kdf}));
    role = RoleSpec{{signer.key.public_key()}, 1};
    return signer;
  }

  RootSpec EmptyRoot() const {
    return {.version = 1,
            .expires = now_ + options_.root_lifetime,
            .profile = {options_.development, options_.trust_domain},
            .root = root_,
            .timestamp = {},
            .snapshot = {},
            .targets = {}};
  }

  Result<Unit> SignAll(RepositoryFolder& folder, const std::string& role) const {
    for (const Signer& signer : signers_.at(role)) SP_TRY(SignStaged(folder, role, signer));
    return Ok();
  }

  Result<Unit> FoundImageRepository() {
    RepositoryFolder folder(files_, repository_);
    RootSpec root = EmptyRoot();
    root.targets = targets_;
    SP_TRY(Signer snapshot, MakeOnline(kImageSnapshotKey, root.snapshot));
    SP_TRY(Signer timestamp, MakeOnline(kImageTimestampKey, root.timestamp));
    const OnlineKeys online{std::move(snapshot), std::move(timestamp)};
    const DelegationSpec policy{std::string(kPolicyRole), policy_, {"policy/*"}, true};
    const TargetsSpec targets{.version = 1,
                              .expires = now_ + options_.targets_lifetime,
                              .targets = {},
                              .delegations = DelegationsJson({policy}),
                              .sallyport = {}};
    SP_TRY(folder.StageBody("root", RootBody(root)));
    SP_TRY(folder.StageBody("targets", TargetsBody(targets)));
    SP_TRY(SignAll(folder, "root"));
    SP_TRY(SignAll(folder, "targets"));
    SP_TRY(Publish(folder, options_.trust_domain, online, options_.online, now_));
    return Ok();
  }

  Result<Unit> FoundDirector() {
    RootSpec root = EmptyRoot();
    SP_TRY(MakeOnline(kDirectorTargetsKey, root.targets));
    SP_TRY(MakeOnline(kDirectorSnapshotKey, root.snapshot));
    SP_TRY(MakeOnline(kDirectorTimestampKey, root.timestamp));
    std::vector<const Signer*> pointers;
    for (const Signer& signer : signers_.at("root")) pointers.push_back(&signer);
    SP_TRY(const Bytes document, WriteSigned(RootBody(root), pointers));
    SP_TRY(TrustedMetadata::Start(document, now_, DirectorRules(options_.trust_domain)));
    SP_TRY(files_.MakeDirectories(repository_ + "/director"));
    return WriteFileAtomically(files_, repository_ + "/director/1.root.json", document);
  }

  FileSystem& files_;
  std::string keys_;
  std::string repository_;
  const CeremonyOptions& options_;
  UnixTime now_;
  RoleSpec root_, targets_, policy_;
  std::map<std::string, std::vector<Signer>> signers_;
};

}  // namespace

Result<Unit> FoundUpdateTrust(FileSystem& files, const std::string& keys,
                              const std::string& repository, const CeremonyOptions& options,
                              UnixTime now) {
  if (options.threshold < 1 || (options.threshold == 1 && !options.development))
    return Error{Reason::kPolicyDenied, "a threshold of 1 is for development only",
                 "ceremony.threshold"};
  if (RepositoryFolder(files, repository).Published("root"))
    return Error{Reason::kAlreadyExists, repository + " is a repository already",
                 "ceremony.repository-exists"};
  return Ceremony(files, keys, repository, options, now).Run();
}

Result<OnlineKeys> LoadOnlineKeys(FileSystem& files, const std::string& keys,
                                  std::string_view passphrase) {
  SP_TRY(Signer snapshot,
         LoadSigner(files, keys + "/" + std::string(kImageSnapshotKey), passphrase));
  SP_TRY(Signer timestamp,
         LoadSigner(files, keys + "/" + std::string(kImageTimestampKey), passphrase));
  return OnlineKeys{std::move(snapshot), std::move(timestamp)};
}

}  // namespace sallyport::ota
