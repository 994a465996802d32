// Imports of vendor bundles: screened here again, whoever sent them; written as the profile's
// directory; in force at once, without a restart.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "attestation-server/operations/operator.h"
#include "pki/base/json.h"
#include "pki/x509/ek_bundle.h"

namespace sallyport::server {

struct EkBundleOrder {
  std::string profile;  // empty: the only one
  std::vector<pki::EkBundleFile> files;
  bool skip_refused = false;  // import the rest
};

// EkBundleOperations is thread-safe: one import at a time.
class EkBundleOperations {
 public:
  // `directories` is where each profile's roots lie; `replace` puts loaded roots in force.
  EkBundleOperations(OperationParts parts, FileSystem& files,
                     std::map<std::string, std::string> directories,
                     std::function<void(const std::string&, pki::EkRoots)> replace)
      : parts_(parts),
        files_(files),
        directories_(std::move(directories)),
        replace_(std::move(replace)) {}

  // Import answers {"imported","profile","version","vendors":[{"vendor","added":[...],"kept",
  // "removed"}],"lists","refused":[...]}. Nothing changes and "imported" is false when anything was
  // refused, unless the order skips what is, or when no anchor is left. kNotFound
  // "profile.unknown"; kInvalidArgument "profile.ambiguous"; errors of WriteEkDirectory and
  // LoadEkRoots.
  Result<JsonValue> Import(const Operator& caller, const EkBundleOrder& order, UnixTime now);

 private:
  Result<std::string> ProfileOf(const std::string& asked) const;
  Result<Unit> Commit(const Operator& caller, const std::string& profile,
                      const EkDirectory& content);

  OperationParts parts_;
  FileSystem& files_;
  const std::map<std::string, std::string> directories_;
  const std::function<void(const std::string&, pki::EkRoots)> replace_;
  std::mutex import_mutex_;  // guards the directories
};

}  // namespace sallyport::server
