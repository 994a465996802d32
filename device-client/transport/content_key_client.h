// The wrapped key of a sealed release from the `device` listener, on a connection of its own: the
// thread that installs asks for it, not the one of the stream.
#pragma once

#include "device-client/agent/content_key_record.h"
#include "device-client/transport/channel.h"

namespace sallyport::device {

// FetchContentKey: kUnavailable with content-key.unreachable, or content-key.refused when the
// server says no, for whatever reason: an operator may still give the key, or withdraw the order.
// kMalformed for an answer that is none. Blocks for 30 s at most.
Result<WrappedContentKey> FetchContentKey(const std::string& address, const ServerTrust& trust,
                                          const ClientIdentity& identity,
                                          const ReleaseDigest& release, ByteView ek_public);

}  // namespace sallyport::device
