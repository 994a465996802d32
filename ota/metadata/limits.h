// Limits of update metadata. Each is far above what a real repository needs and low enough that
// hostile bytes cost little before their signature is checked.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sallyport::ota {

inline constexpr uint64_t kRootSizeMax = 512'000;  // dozens of RSA keys; TUF 5.3.3 asks for a cap
inline constexpr uint64_t kTimestampSizeMax = 16'384;    // one entry
inline constexpr uint64_t kSnapshotSizeMax = 2'000'000;  // about 10,000 delegated roles
inline constexpr uint64_t kTargetsSizeMax = 5'000'000;   // about 15,000 targets
inline constexpr size_t kMetadataDepthMax = 32;          // real metadata nests 7 levels
inline constexpr int kRootRotationsMax = 1024;           // roots followed in one cycle (TUF 5.3.3)
inline constexpr size_t kSignaturesMax = 64;             // each may cost one verification
inline constexpr size_t kKeysMax = 256;                  // per root or delegation
inline constexpr size_t kDelegationsVisitedMax = 32;     // roles walked for one target
inline constexpr size_t kRoleNameSizeMax = 128;
inline constexpr size_t kTargetPathSizeMax = 1024;
inline constexpr uint64_t kReleaseSizeMax =
    256 * 1024;  // release.json: measurements and digests only
inline constexpr uint64_t kPolicyManifestSizeMax =
    4 << 20;                                        // 10,000 grants of 150 bytes and pinned groups
inline constexpr uint64_t kSliceSizeMax = 4 << 20;  // facts of the peers of one device
inline constexpr size_t kManifestRootsMax = 64;     // director roots a device may have missed

}  // namespace sallyport::ota
