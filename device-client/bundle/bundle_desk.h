// BundleDesk takes bundles for the running agent (docs/operations/usb-update.md): a request comes
// in the state directory, the folder is verified, the serial is written down, and only then the
// plan goes to the updater. It also remembers, across reboots, what is being installed from where.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "device-client/bundle/bundle_record.h"
#include "device-client/bundle/install_request.h"
#include "device-client/update/device_floors.h"
#include "ota/install/payload_source.h"
#include "ota/install/state_record.h"

namespace sallyport::device {

// BundleSource gets the files of the bundle's release from its folder, and all others from
// `network`. Which of the two says nothing: the installer checks every byte. Thread-safe.
class BundleSource final : public ota::PayloadSource {
 public:
  explicit BundleSource(ota::PayloadSource& network) : network_(network) {}
  // Use: from now on files below the target directory `prefix` come from `folder`, as long as that
  // holds the bundle with this statement, until Drop.
  void Use(std::string prefix, const std::string& folder, const Sha256Digest& statement);
  void Drop();
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override;

 private:
  ota::PayloadSource& network_;
  std::mutex mutex_;  // guards the rest
  std::string prefix_;
  std::shared_ptr<ota::PayloadSource> folder_;
};

// BundleDeskParts are borrowed; the functions are thread-safe.
struct BundleDeskParts {
  FileSystem& files;
  std::string state;  // directory
  std::string trust_domain;
  Bytes image_root;  // of the enrolment file
  std::string hardware_id;
  std::optional<ReleaseDigest> running;  // in this boot
  DeviceFloors& floors;
  BundleSource& source;
  std::mutex& metadata_mutex;  // held while the image repository's store is used
  std::function<UnixTime()> now;
  std::function<uint64_t()> held_manifest;
  std::function<Bytes()> manifest_release;  // release.json of the held manifest, or nothing
  std::function<void(ota::InstallPlan)> assign;
};

// BundleDesk: Load, Resume, Start, in this order; OnReport, Superseded and AssignsAfter are
// thread-safe.
class BundleDesk {
 public:
  explicit BundleDesk(BundleDeskParts parts);
  ~BundleDesk() { Stop(); }
  BundleDesk(const BundleDesk&) = delete;
  BundleDesk& operator=(const BundleDesk&) = delete;

  // Load reads the record; call it before anything reports. With a record that cannot be read no
  // bundle is taken: every request is refused with the error of LoadBundleRecord.
  void Load();
  // Resume goes on with a bundle that an earlier run took and did not finish.
  void Resume();
  // Start looks for requests twice a second until Stop.
  void Start();
  void Stop();
  // Look answers a request, if there is one. Refusals beyond those of VerifyUsbBundle and of the
  // floors: install.trial-running kConflict, install.failed-before kPolicyDenied.
  void Look();
  void OnReport(const UpdateReport& report);
  // AssignsAfter says whether a manifest of that version may assign a release: not when it was held
  // already as somebody came with a bundle.
  [[nodiscard]] bool AssignsAfter(uint64_t manifest_version) const {
    return manifest_version > over_manifest_;
  }
  // Superseded: the server's manifest now assigns `release`; another bundle's is given up.
  void Superseded(const ReleaseDigest& release);

 private:
  Result<Unit> TryResume(const ActiveBundle& active);
  Result<InstallAnswer> Take(const InstallRequest& request);
  Result<Unit> CheckUpdate(const ReleaseDigest& release);
  Result<ota::VerifiedBundle> Verify(ota::Fetcher& bundle, std::string_view role, UnixTime now);
  Result<Unit> WriteDown(const InstallRequest& request, const ota::VerifiedBundle& bundle,
                         std::map<std::string, Bytes> proof);
  void Begin(const ota::VerifiedBundle& bundle, const std::string& folder);
  void Finish(bool committed);  // with mutex_ held
  void Keep();                  // with mutex_ held
  void Run();

  BundleDeskParts parts_;
  ota::MetadataClient image_;
  ota::RecordStore updates_;
  std::atomic<uint64_t> over_manifest_ = 0;

  std::mutex mutex_;  // guards the rest
  BundleRecord record_;
  std::optional<Error> unreadable_;  // the record
  std::optional<InstallAnswer> answer_;
  bool stopping_ = false;
  std::condition_variable stop_changed_;
  std::thread thread_;
};

}  // namespace sallyport::device
