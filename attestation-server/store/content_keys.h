// Content keys of sealed releases, as boxes that only the key-encryption key opens.
#pragma once

#include <optional>
#include <string>

#include "attestation-server/store/connection.h"
#include "pki/base/time.h"
#include "pki/crypto/content_seal.h"

namespace sallyport::server {

struct ContentKeyRow {
  pki::ContentKeyId id = pki::ContentKeyId::FromArray({});
  Bytes box;
  std::string added_by;
  UnixTime added_at;
};
// PutContentKey: a key that is there already stays as it is.
Result<Unit> PutContentKey(Connection& connection, const ContentKeyRow& row);
Result<std::optional<ContentKeyRow>> FindContentKey(Connection& connection,
                                                    const pki::ContentKeyId& id);

}  // namespace sallyport::server
