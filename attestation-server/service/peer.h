// Who is calling: read from the TLS connection of the call, and refused unless every rule holds.
#pragma once

#include <grpcpp/server_context.h>

#include "pki/x509/chain_verifier.h"

namespace sallyport::server {

// AuthenticatePeer returns the caller behind `context` in `role`. Besides the errors of
// pki::VerifyPeer: "peer.no-certificate", "peer.resumed" (a resumed session skips the checks of a
// new one), both kUnauthenticated. Called once per RPC; on a stream once at its start, then the
// lease is asked per message.
Result<pki::VerifiedPeer> AuthenticatePeer(const grpc::ServerContextBase& context,
                                           const pki::RoleAnchors& anchors, pki::Role role,
                                           const pki::TrustDomain& trust_domain, UnixTime now);

}  // namespace sallyport::server
