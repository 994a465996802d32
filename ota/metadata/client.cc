#include "ota/metadata/client.h"

#include <algorithm>
#include <utility>

#include "ota/metadata/limits.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

std::string MetadataName(const TrustedMetadata& trusted, std::string_view role,
                         const MetaFile& file) {
  const std::string name = RoleFileName(role) + ".json";
  return trusted.root().consistent_snapshot ? std::to_string(file.version) + "." + name : name;
}

uint64_t SizeMax(const MetaFile& file, uint64_t cap) {
  return std::min(file.length.value_or(cap), cap);
}

}  // namespace

std::string RoleFileName(std::string_view role) {
  static constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~";
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : role) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.find(c) != std::string_view::npos) {
      out.push_back(c);
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

std::string ConsistentPath(std::string_view path, std::string_view digest_hex) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string_view::npos ? 0 : slash + 1;
  return std::string(path.substr(0, name)).append(digest_hex).append(".").append(path.substr(name));
}

std::string MetadataClient::PathOf(std::string_view role) const {
  // A quoted name may be three times as long as the name, and file names end at 255 bytes.
  std::string name = RoleFileName(role);
  if (name.size() > kRoleNameSizeMax) name = HexEncode(pki::Sha256(AsBytes(role)));
  return directory_ + "/" + name + ".json";
}

MetadataClient MetadataClient::Draft() const {
  MetadataClient out(files_, directory_, rules_);
  out.draft_.emplace();
  return out;
}

Result<Unit> MetadataClient::Adopt() {
  SP_CHECK(draft_.has_value());
  const std::vector<Change> changes = *std::exchange(draft_, std::nullopt);
  for (const auto& [role, file] : changes) {
    const Result<Unit> done = file ? Store(role, *file) : Forget(role);
    if (!done) return done;
  }
  return Ok();
}

Result<Bytes> MetadataClient::Stored(std::string_view role, uint64_t size_max) const {
  if (draft_) {
    const auto last = std::find_if(draft_->rbegin(), draft_->rend(),
                                   [role](const Change& change) { return change.role == role; });
    if (last != draft_->rend() && last->file) return *last->file;
    if (last != draft_->rend()) return Error{Reason::kNotFound, std::string(role) + ": forgotten"};
  }
  return ReadFile(files_, PathOf(role), size_max);
}

Result<Unit> MetadataClient::Store(std::string_view role, ByteView bytes) {
  if (!draft_) return WriteFileAtomically(files_, PathOf(role), bytes);
  draft_->push_back({std::string(role), ToBytes(bytes)});
  return Ok();
}

Result<Unit> MetadataClient::Forget(std::string_view role) {
  if (draft_) {
    draft_->push_back({std::string(role), std::nullopt});
    return Ok();
  }
  SP_TRY(RemoveIfThere(files_, PathOf(role)));
  return files_.SyncDirectory(directory_);
}

Result<Unit> MetadataClient::Initialise(ByteView root) {
  SP_TRY(TrustedMetadata::Start(root, UnixTime{}, rules_));
  SP_TRY(files_.MakeDirectories(directory_));
  if (Stored("root", kRootSizeMax))
    return Error{Reason::kAlreadyExists, directory_ + " has a trusted root already"};
  return Store("root", root);
}

Result<TrustedMetadata> MetadataClient::Refresh(Fetcher& fetcher, UnixTime now) {
  SP_TRY(const Bytes root, Stored("root", kRootSizeMax));
  SP_TRY(TrustedMetadata trusted, TrustedMetadata::Start(root, now, rules_));
  SP_TRY(UpdateRoot(fetcher, trusted));
  SP_TRY(UpdateTimestamp(fetcher, trusted));
  SP_TRY(UpdateSnapshot(fetcher, trusted));
  SP_TRY(UpdateTargets(fetcher, trusted));
  return trusted;
}

Result<Unit> MetadataClient::UpdateRoot(Fetcher& fetcher, TrustedMetadata& trusted) {
  for (int i = 0; i < kRootRotationsMax; ++i) {
    const std::string name = std::to_string(trusted.root().version + 1) + ".root.json";
    const auto next = fetcher.FetchMetadata(name, kRootSizeMax);
    if (!next && next.error().reason == Reason::kNotFound) break;
    if (!next) return next.error();
    SP_TRY(trusted.AddRoot(*next));
    // Before the root is stored: after a cut in between, the next cycle sees the rotation again.
    if (trusted.keys_rotated()) {
      SP_TRY(Forget("timestamp"));
      SP_TRY(Forget("snapshot"));
    }
    SP_TRY(Store("root", *next));
  }
  return trusted.CloseRoots();
}

Result<Unit> MetadataClient::UpdateTimestamp(Fetcher& fetcher, TrustedMetadata& trusted) {
  // A stored file that no longer verifies is no floor; it is replaced below.
  if (const auto stored = Stored("timestamp", kTimestampSizeMax))
    static_cast<void>(trusted.RestoreTimestamp(*stored));
  if (const auto stored = Stored("snapshot", kSnapshotSizeMax))
    static_cast<void>(trusted.RestoreSnapshot(*stored));
  SP_TRY(const Bytes timestamp, fetcher.FetchMetadata("timestamp.json", kTimestampSizeMax));
  SP_TRY(const auto change, trusted.AddTimestamp(timestamp));
  if (change == TrustedMetadata::Change::kUnchanged) return Ok();
  return Store("timestamp", timestamp);
}

Result<Unit> MetadataClient::UpdateSnapshot(Fetcher& fetcher, TrustedMetadata& trusted) {
  if (const auto stored = Stored("snapshot", kSnapshotSizeMax);
      stored && trusted.AddSnapshot(*stored))
    return Ok();
  const MetaFile& file = trusted.timestamp().snapshot;
  const std::string name = MetadataName(trusted, "snapshot", file);
  SP_TRY(const Bytes snapshot, fetcher.FetchMetadata(name, SizeMax(file, kSnapshotSizeMax)));
  SP_TRY(trusted.AddSnapshot(snapshot));
  return Store("snapshot", snapshot);
}

Result<Unit> MetadataClient::UpdateTargets(Fetcher& fetcher, TrustedMetadata& trusted) {
  if (const auto stored = Stored("targets", kTargetsSizeMax); stored && trusted.AddTargets(*stored))
    return Ok();
  const MetaFile& file = *trusted.snapshot().Find("targets");
  const std::string name = MetadataName(trusted, "targets", file);
  SP_TRY(const Bytes targets, fetcher.FetchMetadata(name, SizeMax(file, kTargetsSizeMax)));
  SP_TRY(trusted.AddTargets(targets));
  return Store("targets", targets);
}

Result<Unit> MetadataClient::LoadDelegated(TrustedMetadata& trusted, Fetcher& fetcher,
                                           const TrustedMetadata::RoleChain& chain) {
  const std::string& role = chain.back();
  if (const auto stored = Stored(role, kTargetsSizeMax);
      stored && trusted.AddDelegated(chain, *stored))
    return Ok();
  const MetaFile* file = trusted.snapshot().Find(role);
  if (file == nullptr)
    return Error{Reason::kUntrusted, role + ": not listed by the snapshot", "tuf.not-in-snapshot"};
  const std::string name = MetadataName(trusted, role, *file);
  SP_TRY(const Bytes targets, fetcher.FetchMetadata(name, SizeMax(*file, kTargetsSizeMax)));
  SP_TRY(trusted.AddDelegated(chain, targets));
  return Store(role, targets);
}

Result<MetadataClient::Target> MetadataClient::FindTarget(TrustedMetadata& trusted,
                                                          Fetcher& fetcher, std::string_view path) {
  while (true) {
    SP_TRY(const TrustedMetadata::Search search, trusted.FindTarget(path));
    if (const auto* found = std::get_if<TrustedMetadata::Found>(&search))
      return Target{*found->file, found->role};
    const auto* need = std::get_if<TrustedMetadata::NeedRole>(&search);
    if (need == nullptr)
      return Error{Reason::kNotFound, std::string(path) + ": no role signs it",
                   "tuf.unknown-target"};
    SP_TRY(LoadDelegated(trusted, fetcher, need->chain));
  }
}

Result<Bytes> MetadataClient::Download(const TrustedMetadata& trusted, Fetcher& fetcher,
                                       std::string_view path, const TargetFile& file,
                                       uint64_t size_max) {
  if (file.length > size_max)
    return Error{Reason::kTooLarge, std::string(path) + ": target too large", "tuf.target-size"};
  const std::string name = trusted.root().consistent_snapshot
                               ? ConsistentPath(path, file.digests.PathPrefix())
                               : std::string(path);
  SP_TRY(Bytes bytes, fetcher.FetchTarget(name, file.length));
  SP_TRY(file.Check(bytes, path));
  return bytes;
}

}  // namespace sallyport::ota
