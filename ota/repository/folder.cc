#include "ota/repository/folder.h"

#include <algorithm>
#include <charconv>

#include "ota/metadata/client.h"
#include "ota/metadata/limits.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr uint64_t kDocumentSizeMax = std::max({kRootSizeMax, kSnapshotSizeMax, kTargetsSizeMax});

// VersionIn returns N of `N.<suffix>`.
std::optional<uint64_t> VersionIn(std::string_view name, std::string_view suffix) {
  uint64_t version = 0;
  const auto end = std::from_chars(name.data(), name.data() + name.size(), version);
  if (end.ec != std::errc() || std::string_view(end.ptr, name.data() + name.size()) != suffix)
    return std::nullopt;
  return version;
}

}  // namespace

RepositoryFolder::RepositoryFolder(FileSystem& files, std::string directory)
    : files_(files), directory_(std::move(directory)), metadata_(directory_ + "/metadata") {}

RepositoryFolder RepositoryFolder::Director(FileSystem& files, const std::string& repository) {
  RepositoryFolder out(files, repository + "/director");
  out.metadata_ = out.directory_;
  return out;
}

std::string RepositoryFolder::Metadata(std::string_view role, uint64_t version) const {
  return metadata_ + "/" + std::to_string(version) + "." + RoleFileName(role) + ".json";
}

std::string RepositoryFolder::ScratchPath(std::string_view name) const {
  return directory_ + "/staged/" + RoleFileName(name);
}

Result<RepositoryFolder::Draft> RepositoryFolder::Read(const std::string& path) const {
  SP_TRY(Bytes bytes, ReadFile(files_, path, kDocumentSizeMax));
  auto tree =
      ParseJson(AsText(bytes), {.size_max = kDocumentSizeMax, .depth_max = kMetadataDepthMax});
  if (!tree) return std::move(tree).error().WithContext(path);
  const JsonCursor document(*tree);
  SP_TRY(const JsonCursor body, document.Member("signed"));
  SP_TRY(const int64_t version, body.GetInteger("version", 1));
  return Draft{body.value(), std::move(bytes), static_cast<uint64_t>(version)};
}

Result<RepositoryFolder::Draft> RepositoryFolder::Published(std::string_view role) const {
  if (role == "timestamp") return Read(metadata_ + "/timestamp.json");
  const std::string suffix = "." + RoleFileName(role) + ".json";
  const auto names = files_.List(metadata_);
  uint64_t newest = 0;
  for (const std::string& name : names ? *names : std::vector<std::string>{})
    newest = std::max(newest, VersionIn(name, suffix).value_or(0));
  if (newest == 0)
    return Error{Reason::kNotFound, std::string(role) + ": nothing published in " + directory_};
  return Read(Metadata(role, newest));
}

Result<Bytes> RepositoryFolder::PublishedVersion(std::string_view role, uint64_t version) const {
  return ReadFile(files_, Metadata(role, version), kDocumentSizeMax);
}

Result<RepositoryFolder::Draft> RepositoryFolder::Staged(std::string_view role) const {
  return Read(ScratchPath(role) + ".json");
}

Result<Unit> RepositoryFolder::Stage(std::string_view role, ByteView document) {
  SP_TRY(files_.MakeDirectories(directory_ + "/staged"));
  return WriteFileAtomically(files_, ScratchPath(role) + ".json", document);
}

Result<Unit> RepositoryFolder::StageBody(std::string_view role, const JsonValue& body) {
  SP_TRY(const Bytes draft, WriteSigned(body, {}));
  return Stage(role, draft);
}

Result<Unit> RepositoryFolder::Unstage(std::string_view role) {
  SP_TRY(RemoveIfThere(files_, ScratchPath(role) + ".json"));
  return Ok();
}

Result<Unit> RepositoryFolder::Publish(std::string_view role, uint64_t version, ByteView document) {
  const std::string path = Metadata(role, version);
  if (const auto there = ReadFile(files_, path, kDocumentSizeMax)) {
    if (Equal(*there, document)) return Ok();
    return Error{Reason::kConflict, path + " is published with other content",
                 "repository.immutable"};
  }
  SP_TRY(files_.MakeDirectories(metadata_));
  return WriteFileAtomically(files_, path, document);
}

Result<Unit> RepositoryFolder::PublishTimestamp(ByteView document) {
  SP_TRY(files_.MakeDirectories(metadata_));
  return WriteFileAtomically(files_, metadata_ + "/timestamp.json", document);
}

std::string RepositoryFolder::TargetFilePath(std::string_view path,
                                             const Sha256Digest& digest) const {
  return directory_ + "/targets/" + ConsistentPath(path, HexEncode(digest));
}

Result<TargetFile> RepositoryFolder::AddTarget(const std::string& path, ByteView content,
                                               JsonValue custom) {
  const Sha256Digest digest = pki::Sha256(content);
  const std::string file = TargetFilePath(path, digest);
  SP_TRY(files_.MakeDirectories(ParentDirectory(file)));
  SP_TRY(WriteFileAtomically(files_, file, content));
  return TargetFile{content.size(), Digests::FromSha256(digest), std::move(custom)};
}

Result<Unit> RepositoryFolder::AdoptTarget(const std::string& from, std::string_view path,
                                           const Sha256Digest& digest) {
  const std::string file = TargetFilePath(path, digest);
  SP_TRY(files_.MakeDirectories(ParentDirectory(file)));
  SP_TRY(files_.Rename(from, file));
  return files_.SyncDirectory(ParentDirectory(file));
}

Result<RepositoryFolder::Next> RepositoryFolder::NextOf(std::string_view role,
                                                        UnixTime expires) const {
  const auto staged = Staged(role);
  const auto published = Published(role);
  const auto& base = staged ? staged : published;
  if (!base && base.error().reason != Reason::kNotFound) return base.error();
  TargetsSpec spec{.version = published ? published->version + 1 : 1,
                   .expires = expires,
                   .targets = {},
                   .delegations = {},
                   .sallyport = {}};
  if (!base) return Next{TargetsBody(spec), {}};
  SP_TRY(Targets held, DraftTargets(*base));
  return Next{
      WithMembers(base->body, {{"version", spec.version}, {"expires", FormatRfc3339(expires)}}),
      std::move(held.targets)};
}

Result<Unit> RepositoryFolder::StageTargets(std::string_view role, const TargetFiles& add,
                                            UnixTime expires, bool replace) {
  SP_TRY(Next next, NextOf(role, expires));
  for (const auto& [path, file] : add) {
    const auto there = next.targets.find(path);
    if (there != next.targets.end() && !replace && there->second.digests != file.digests)
      return Error{Reason::kAlreadyExists, path + " has other content", "repository.target-exists"};
    next.targets.insert_or_assign(path, file);
  }
  return StageBody(role, WithMembers(next.body, {{"targets", TargetsJson(next.targets)}}));
}

Result<Unit> RepositoryFolder::StageWithout(std::string_view role, std::string_view directory,
                                            UnixTime expires) {
  SP_TRY(Next next, NextOf(role, expires));
  const std::string prefix = std::string(directory) + "/";
  const auto below = [&prefix](const auto& target) { return target.first.starts_with(prefix); };
  if (std::erase_if(next.targets, below) == 0)
    return Error{Reason::kNotFound, "nothing below " + prefix, "repository.no-target"};
  return StageBody(role, WithMembers(next.body, {{"targets", TargetsJson(next.targets)}}));
}

Result<Targets> DraftTargets(const RepositoryFolder::Draft& draft) {
  SP_TRY(const SignedDocument document, SignedDocument::Parse(draft.bytes, kTargetsSizeMax));
  return Targets::Parse(document.TrustAnchor());
}

Result<Root> DraftRoot(const RepositoryFolder::Draft& draft) {
  SP_TRY(const SignedDocument document, SignedDocument::Parse(draft.bytes, kRootSizeMax));
  return Root::Parse(document.TrustAnchor());
}

}  // namespace sallyport::ota
