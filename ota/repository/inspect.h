// What is in a repository, for people and scripts.
#pragma once

#include "ota/repository/folder.h"

namespace sallyport::ota {

// InspectRepository:
// {"roles":{name:{"version","expires","expired","threshold","keys"}},"development",
// "trust_domain","releases":[{"version","product","digest","hardware",...}],"policy":{...}|null,
// "staged":[{"role","version","signatures","threshold","ready"}]}.
Result<JsonValue> InspectRepository(const RepositoryFolder& folder, UnixTime now);
// InspectRelease: the parsed release.json with its digest.
Result<JsonValue> InspectRelease(ByteView release_json);

}  // namespace sallyport::ota
