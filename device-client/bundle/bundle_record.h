// What a device remembers of bundles: the last serial of each role, and the bundle that is being
// installed, with the metadata that proves it. One file in the state directory, written whole or
// not at all (WriteFileAtomically), before the first byte of the release goes to a slot.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ota/metadata/usb_bundle.h"

namespace sallyport::device {

// ActiveBundle was taken, and has neither been committed nor given up.
struct ActiveBundle {
  std::string request;  // id of the request that it came with
  std::string folder;
  std::string role;
  ReleaseDigest release = ReleaseDigest::FromArray({});
  UnixTime taken_at;
  // The files that it was verified with, by the names of a bundle's folder: after a reboot the
  // stick may be gone, and a plan is made of nothing less.
  std::map<std::string, Bytes> proof;
};

struct BundleRecord {
  std::map<std::string, ota::TakenBundle, std::less<>> taken;  // by role
  std::optional<ActiveBundle> active;
  // Manifests up to this version were held when a bundle was taken: they assign no release any
  // more.
  uint64_t over_manifest = 0;
  Bytes known_release;  // release.json of the last bundle that was committed
};

Bytes EncodeBundleRecord(const BundleRecord& record);
// DecodeBundleRecord: kMalformed; kUnsupported, rule bundle.record-version.
Result<BundleRecord> DecodeBundleRecord(ByteView bytes);

// LoadBundleRecord makes durable what an agent that was killed may have left in memory, and reads
// it: an empty one when there is no file. A damaged one is not guessed at: nobody
// knows its serials.
Result<BundleRecord> LoadBundleRecord(FileSystem& files, const std::string& state);
Result<Unit> SaveBundleRecord(FileSystem& files, const std::string& state,
                              const BundleRecord& record);

}  // namespace sallyport::device
