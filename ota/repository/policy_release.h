// The policy manifest as a target of the delegated role `policy` (docs/protocol.md, "Policy
// manifest").
#pragma once

#include "ota/repository/folder.h"
#include "ota/repository/sign.h"

namespace sallyport::ota {

// StagePolicy makes `manifest_json` the policy of the next version of role `policy`. Staging the
// same bytes again keeps the signatures that are there, so that a second person can just sign.
Result<Unit> StagePolicy(RepositoryFolder& folder, ByteView manifest_json, UnixTime expires);

// SignPolicy is StagePolicy and SignStaged: what one person does.
Result<SigningStatus> SignPolicy(RepositoryFolder& folder, ByteView manifest_json, UnixTime expires,
                                 const Signer& signer);

}  // namespace sallyport::ota
