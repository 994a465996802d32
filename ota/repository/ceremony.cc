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
  static std::vector<std::string> NamesOf(const std::string& role, size_t count) {
    std::vector<std::string> names;
    for (size_t i = 1; i <= count; ++i)
      names.push_back("offline/" + role + "-" + std::to_string(i) + ".pem");
    return names;
  }
  std::string PathOf(std::string_view name) const { return keys_ + "/" + std::string(name); }

  Result<RoleSpec> MakeOffline(const std::string& role, size_t count) {
    RoleSpec out{{}, options_.threshold};
    for (const std::string& name : NamesOf(role, count)) {
      SP_TRY(auto key, CreateKeyFile(files_, PathOf(name), options_.offline_passphrase));
      out.keys.push_back(std::move(key));
    }
    return out;
  }

  Result<RoleSpec> MakeOnline(std::string_view name) {
    SP_TRY(auto key, CreateKeyFile(files_, PathOf(name), options_.online_passphrase));
    return RoleSpec{{std::move(key)}, 1};
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

  // Everyone whose key is on this machine signs now; later each person signs alone.
  Result<std::vector<Signer>> LoadOffline(const std::string& role) const {
    std::vector<Signer> out;
    for (const std::string& name : NamesOf(role, options_.threshold)) {
      SP_TRY(Signer signer, LoadSigner(files_, PathOf(name), options_.offline_passphrase));
      out.push_back(std::move(signer));
    }
    return out;
  }

  Result<Unit> SignAll(RepositoryFolder& folder, const std::string& role) const {
    SP_TRY(const auto signers, LoadOffline(role));
    for (const Signer& signer : signers) SP_TRY(SignStaged(folder, role, signer));
    return Ok();
  }

  Result<Unit> FoundImageRepository() {
    RepositoryFolder folder(files_, repository_);
    RootSpec root = EmptyRoot();
    root.targets = targets_;
    SP_TRY(root.snapshot, MakeOnline(kImageSnapshotKey));
    SP_TRY(root.timestamp, MakeOnline(kImageTimestampKey));
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
    SP_TRY(const OnlineKeys online, LoadOnlineKeys(files_, keys_, options_.online_passphrase));
    SP_TRY(Publish(folder, options_.trust_domain, online, options_.online, now_));
    return Ok();
  }

  Result<Unit> FoundDirector() {
    RootSpec root = EmptyRoot();
    SP_TRY(root.targets, MakeOnline(kDirectorTargetsKey));
    SP_TRY(root.snapshot, MakeOnline(kDirectorSnapshotKey));
    SP_TRY(root.timestamp, MakeOnline(kDirectorTimestampKey));
    SP_TRY(const auto signers, LoadOffline("root"));
    std::vector<const Signer*> pointers;
    for (const Signer& signer : signers) pointers.push_back(&signer);
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
