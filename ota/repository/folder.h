// A repository on disk: `metadata/` and `targets/` hold immutable published files that any web
// server can serve; `staged/` holds drafts that wait for signatures (docs/protocol.md, "Image
// repository").
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/repository/document_writer.h"
#include "pki/base/file_system.h"

namespace sallyport::ota {

// RepositoryFolder: one thread at a time; one process at a time changes a folder.
class RepositoryFolder {
 public:
  RepositoryFolder(FileSystem& files, std::string directory);
  // Director is the folder of the director's roots, `<repository>/director/N.root.json`; its other
  // roles are made per device and never lie in files.
  static RepositoryFolder Director(FileSystem& files, const std::string& repository);

  // Draft is a document's body with its bytes as they lie in staged/ or metadata/.
  struct Draft {
    JsonValue body;
    Bytes bytes;
    uint64_t version;
  };
  // Published returns the newest published document of a role; kNotFound.
  Result<Draft> Published(std::string_view role) const;
  Result<Bytes> PublishedVersion(std::string_view role, uint64_t version) const;
  // Staged returns the draft of a role; kNotFound.
  Result<Draft> Staged(std::string_view role) const;
  Result<Unit> Stage(std::string_view role, ByteView document);
  Result<Unit> Unstage(std::string_view role);

  // Publish writes an immutable metadata file. kConflict when another one of that version is there.
  Result<Unit> Publish(std::string_view role, uint64_t version, ByteView document);
  Result<Unit> PublishTimestamp(ByteView document);
  // AddTarget writes an immutable target under its consistent name; returns its description.
  Result<TargetFile> AddTarget(const std::string& path, ByteView content, JsonValue custom = {});
  // TargetFilePath is where the target with that digest lies.
  std::string TargetFilePath(std::string_view path, const Sha256Digest& digest) const;
  // AdoptTarget moves a file of this folder to its consistent name.
  Result<Unit> AdoptTarget(const std::string& from, std::string_view path,
                           const Sha256Digest& digest);
  // ScratchPath is a place in staged/ for files in the making.
  std::string ScratchPath(std::string_view name) const;

  // StageTargets puts `add` into the draft of `role` (a new version of the published one, or the
  // draft that is there) and drops its signatures. kAlreadyExists, rule repository.target-exists,
  // when a published target would change, unless `replace`.
  Result<Unit> StageTargets(std::string_view role, const TargetFiles& add, UnixTime expires,
                            bool replace = false);
  // StageWithout puts a draft without the targets below `directory` in the same way. kNotFound,
  // rule repository.no-target, when there are none.
  Result<Unit> StageWithout(std::string_view role, std::string_view directory, UnixTime expires);
  // StageBody stages a first or complete body.
  Result<Unit> StageBody(std::string_view role, const JsonValue& body);

  FileSystem& files() const { return files_; }

 private:
  // Next is the next version of a role of targets, before what changes is put into it.
  struct Next {
    JsonValue body;
    TargetFiles targets;
  };
  Result<Next> NextOf(std::string_view role, UnixTime expires) const;
  Result<Draft> Read(const std::string& path) const;
  std::string Metadata(std::string_view role, uint64_t version) const;

  FileSystem& files_;
  std::string directory_;
  std::string metadata_;
};

// DraftTargets and DraftRoot read a document of this folder without checking who signed it: for
// editing.
Result<Targets> DraftTargets(const RepositoryFolder::Draft& draft);
Result<Root> DraftRoot(const RepositoryFolder::Draft& draft);

}  // namespace sallyport::ota
