// release.json: what an OS release is made of and which measurements it will produce
// (docs/protocol.md, "Release"). Its SHA-256 is the release digest. Pure.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <vector>

#include "ota/measure/capsule.h"
#include "ota/measure/verity.h"
#include "pki/base/digest.h"
#include "pki/base/json.h"
#include "pki/base/time.h"
#include "pki/crypto/content_seal.h"

namespace sallyport::ota {

// ReleaseVersion is dotted numbers, compared numerically: 1.10 > 1.9, and 1.0 == 1 is false (1
// < 1.0).
class ReleaseVersion {
 public:
  // Parse takes 1 to 8 numbers of at most 9 digits without leading zeros. kMalformed, rule
  // release.version.
  static Result<ReleaseVersion> Parse(std::string_view text);
  const std::string& text() const { return text_; }
  auto operator<=>(const ReleaseVersion& other) const { return numbers_ <=> other.numbers_; }
  bool operator==(const ReleaseVersion& other) const { return numbers_ == other.numbers_; }

 private:
  ReleaseVersion() = default;
  std::string text_;
  std::vector<uint32_t> numbers_;
};

// ReleaseFile is a target of the image repository.
struct ReleaseFile {
  std::string path;
  uint64_t length;
  Sha256Digest sha256;
};

struct ReleaseImage {
  uint64_t length;  // of the root image once installed
  Sha256Digest sha256;
  ReleaseFile index;    // segment index
  ReleaseFile payload;  // the segments
};

// ExpectedMeasurements are digests of events (bank sha256), not final PCR values.
struct ExpectedMeasurements {
  std::vector<Sha256Digest> pcr4_secure_boot_off;
  std::vector<Sha256Digest> pcr4_secure_boot_on;
  std::vector<Sha256Digest> pcr11_events;
};

// What a component is to the device: a file beside the slot's image, or an UEFI capsule that the
// firmware takes at the boot of the trial (UEFI 2.10, 8.5.5).
enum class ComponentKind : uint8_t { kFile, kCapsule };
std::string_view ComponentKindName(ComponentKind kind);

// ReleaseComponent goes with the image, all or nothing. `firmware` is present exactly for a
// capsule.
struct ReleaseComponent {
  std::string name;  // a product name; unique in the release
  ReleaseFile file;
  std::optional<FirmwareVersion> firmware;  // what the system resource table must show then
  ComponentKind kind() const { return firmware ? ComponentKind::kCapsule : ComponentKind::kFile; }
};
// Each is one more file that can fail; a node has few things that are neither image nor firmware.
inline constexpr size_t kComponentsMax = 8;

// ReleaseDelta is another way to the same image, for devices whose running slot holds the image of
// an older release.
struct ReleaseDelta {
  ReleaseDigest from;           // of the older release.json
  ReleaseVersion from_version;  // for people
  uint64_t from_length;         // of the older image
  Sha256Digest from_sha256;
  ReleaseFile index;
  ReleaseFile payload;
};
// A fleet has few releases that matter; all other devices take chunks, or the whole image.
inline constexpr size_t kDeltasMax = 16;

// ReleaseChunks is a third way, for devices whose running slot holds any older image.
struct ReleaseChunks {
  ReleaseFile index;
  ReleaseFile payload;
};

struct Release {
  std::string product;
  ReleaseVersion version;
  std::vector<std::string> hardware;  // at least one
  ReleaseVersion min_version;         // smallest running version that may update to this one
  uint64_t rollback_index;
  bool security_floor;  // commit raises the device's rollback floor to rollback_index
  ReleaseFile uki;
  ReleaseImage image;
  ExpectedMeasurements measurements;
  std::vector<ReleaseComponent> components = {};
  std::vector<ReleaseDelta> deltas = {};  // at most one per older release
  std::optional<ReleaseChunks> chunks = {};
  std::optional<VerityTree> verity = {};  // of the image
  // The security deadline: from then on no window, site inhibitor or drain of a device's owner
  // holds the update up. Whole seconds.
  std::optional<UnixTime> install_by = {};
  // The key under which full payload, deltas, chunks and their tables are sealed, by
  // kContentSealScheme; none when they are readable.
  std::optional<pki::ContentKeyId> content_key = {};
};

// ParseRelease refuses unknown keys and everything else that docs/protocol.md does not allow.
// kMalformed, kUnsupported for another format version (release.format) or another scheme of
// sealing (release.seal-scheme).
Result<Release> ParseRelease(ByteView json);
// WriteRelease is deterministic; ParseRelease(WriteRelease(r)) is r.
std::string WriteRelease(const Release& release);
// FilesOf lists every target that an installation may read; borrowed from `release`.
std::vector<const ReleaseFile*> FilesOf(const Release& release);
// ReleaseDigestOf hashes the bytes of release.json.
ReleaseDigest ReleaseDigestOf(ByteView release_json);
// ReleaseCustom is the `custom` member that both repositories give the target release.json.
JsonValue ReleaseCustom(const Release& release);
// ReleaseDirectory is `releases/<product>/<version>`; release.json, uki.efi, index.json,
// payload.bin stand in it, and `delta-<version>.json` and `.bin` per older release.
std::string ReleaseDirectory(std::string_view product, const ReleaseVersion& version);
// IsProductName: `[a-z0-9][a-z0-9._-]*`, at most 64 bytes; hardware ids follow the same rule.
[[nodiscard]] bool IsProductName(std::string_view name);

}  // namespace sallyport::ota
