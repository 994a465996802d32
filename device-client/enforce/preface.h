// The proxy's preface: who wants what, and the answer, before the first byte of a flow
// (docs/protocol.md, "Proxy preface"). Pure.
#pragma once

#include <optional>
#include <string>

#include "pki/base/bytes.h"
#include "pki/base/time.h"

namespace sallyport::device {

inline constexpr size_t kPrefaceHeaderSize = 7;  // magic, kind, body length
inline constexpr size_t kPrefaceBodyMax = 512;
inline constexpr size_t kPrefaceSizeMax = kPrefaceHeaderSize + kPrefaceBodyMax;

struct ClientPreface {
  std::string service;
  std::string destination;  // device id
  uint64_t policy_version = 0;
};

enum class PrefaceCode : uint8_t { kAllowed = 0, kDenied = 1, kBackendUnavailable = 2 };

struct ServerPreface {
  PrefaceCode code = PrefaceCode::kDenied;
  std::string reason;
  uint64_t policy_version = 0;
  uint64_t valid_until_ms = 0;  // 0 when denied
};

// Write aborts on texts that do not fit: callers bound names by kNameSizeMax of policies/language.
Bytes WriteClientPreface(const ClientPreface& preface);
// WriteServerPreface cuts a long reason.
Bytes WriteServerPreface(const ServerPreface& preface);

template <typename T>
struct PrefaceRead {
  T preface;
  size_t size;  // bytes consumed
};
// Read returns nothing while more bytes are needed; kMalformed (rule preface.magic, preface.kind,
// preface.length, preface.body, preface.code) as soon as the bytes cannot become a preface.
Result<std::optional<PrefaceRead<ClientPreface>>> ReadClientPreface(ByteView bytes);
Result<std::optional<PrefaceRead<ServerPreface>>> ReadServerPreface(ByteView bytes);

}  // namespace sallyport::device
