// The enrolment file: all that a device must know before it opens its first connection
// (docs/protocol.md, "Enrolment file"). No trust on first use.
#pragma once

#include "pki/ca/trust_bundle.h"

namespace sallyport::pki {

constexpr size_t kEnrolmentFileBytesMax = 512 << 10;  // two TUF roots and a trust bundle in base64

// Endpoint is `host:port`; the port is 1..65535, an IPv6 address stands in brackets.
struct EnrolmentServers {
  std::string enrol;
  std::string device;
  std::string content;
};

struct EnrolmentFile {
  TrustDomain trust_domain;
  bool development = false;
  EnrolmentServers servers;
  std::vector<SpiffeId> server_ids;  // at least one, each /server/<name> of the trust domain
  Sha256Digest pki_root_sha256;
  TrustBundle trust_bundle;
  Bytes image_root;     // 1.root.json as received
  Bytes director_root;  // 1.root.json as received
  std::string token;    // base32; empty when the EK is listed. A secret: never logged.
};

std::string WriteEnrolmentFile(const EnrolmentFile& file);
// ParseEnrolmentFile: errors of ParseJson, JsonCursor and TrustBundleFromJson; kUnsupported (rule
// enrolment.version); kMismatch (rules enrolment.pki-root, enrolment.trust-domain); kMalformed
// (rules enrolment.endpoint, enrolment.server-ids, enrolment.token, enrolment.root). Pure.
Result<EnrolmentFile> ParseEnrolmentFile(std::string_view text);

}  // namespace sallyport::pki
