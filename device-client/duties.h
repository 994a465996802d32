// Duties: what this device does with its identity and its orders (architecture 6.7): verifies
// manifests, applies slices in the proxy, hands releases to the update worker.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "device-client/bundle/bundle_desk.h"
#include "device-client/client.h"
#include "device-client/downloads.h"
#include "device-client/enforce/proxy.h"
#include "device-client/update/content_keys.h"
#include "device-client/update/device_floors.h"
#include "device-client/update/http_fetcher.h"
#include "device-client/update/update_machinery.h"
#include "device-client/update/update_worker.h"

namespace sallyport::device {

struct DutyParts {
  FileSystem& files;
  const Clock& clock;
  Random& random;
  Rebooter& rebooter;
  DeviceFloors& floors;
  PosixCommandRunner& runner;
  Tpm& tpm;
};

// UpdateView is what `sallyport-agent update status` shows of an update.
struct UpdateView {
  UpdateReport report;  // the last one; without a state before the first
  std::vector<Inhibitor> inhibitors;
  GateDecision install_window;
  GateDecision reboot_window;
  Deadline deadline = Deadline::kNone;  // of the release in `report`, which says when it is
};

// Duties: AgentSinks are called on the client's thread; Connections and the rest are thread-safe.
class Duties final : public AgentSinks {
 public:
  Duties(DutyParts parts, const Config& config, const pki::EnrolmentFile& enrolment);
  ~Duties() override;

  // Start binds the proxy's listeners, restores the manifest that was held, and judges this boot.
  // `client` gives trusted time and carries reports; it outlives Stop.
  Result<Unit> Start(Client& client, const std::string& device_id);
  void Stop();

  std::vector<ConnectionInfo> Connections() const;
  std::vector<Refusal> Refusals() const;
  FloorStatus Floors() const { return parts_.floors.status(); }
  // Update is nothing on a device that takes no updates.
  std::optional<UpdateView> Update() const;
  // Download is Downloads::ToJson; null without slots.
  JsonValue Download() const { return downloads_ ? downloads_->ToJson() : JsonValue(); }

  void OnIdentity(const TlsIdentity& identity, const IssuedCertificate& certificate) override;
  void OnAttested(const IssuedCertificate& certificate) override;
  void OnRecordedFloors(const FloorCounts& floors) override;
  void OnRefused() override;
  void OnStream(bool up) override;
  void OnRevocations(const std::vector<PeerRevocation>& revocations) override;
  Result<uint64_t> OnManifest(const ota::DeviceManifest& manifest) override;
  uint64_t HeldManifestVersion() override { return held_version_; }
  BootClaim Boot() override;

 private:
  Result<Unit> StartProxy();
  Result<Unit> StartUpdates();
  std::unique_ptr<BundleDesk> MakeBundleDesk();
  // MakeContentKeys: the keys are asked for with the identity of that moment.
  std::unique_ptr<DeviceContentKeys> MakeContentKeys();
  Result<WrappedContentKey> FetchKey(const ReleaseDigest& release);
  // CheckAlone is what this device can say of its own boot: the TPM answers and holds the floors,
  // and the event log is there.
  Result<Unit> CheckAlone();
  UpdateDriverParts DriverParts();
  void Assign(ota::InstallPlan plan);
  // Overdue: trusted time is past the deadline of the release that was assigned last. Thread-safe.
  [[nodiscard]] bool Overdue() const;
  void Reported(const UpdateReport& report);
  void Hear(HealthCheck check, HealthState state, std::optional<ReleaseDigest> release = {});
  // Verifier is made once the device knows its id.
  Result<ota::ManifestVerifier*> Verifier();
  void Restore();
  Result<Unit> Obey(const ota::VerifiedManifest& manifest);
  Result<Unit> ApplySlice(const ota::VerifiedManifest& manifest);

  DutyParts parts_;
  const Config config_;
  const pki::EnrolmentFile enrolment_;
  Client* client_ = nullptr;
  std::string device_id_;
  std::unique_ptr<ota::ManifestVerifier> verifier_;
  std::optional<policy::HeldSlice> held_slice_;
  std::atomic<uint64_t> held_version_ = 0;
  std::map<std::string, uint64_t> revocations_;

  mutable std::mutex identity_mutex_;  // guards identity_
  std::optional<TlsIdentity> identity_;
  ContentClient content_;
  HttpFetcher fetcher_;
  std::unique_ptr<Downloads> downloads_;
  std::unique_ptr<BundleSource> sources_;            // a bundle's folder, and downloads_
  std::unique_ptr<DeviceContentKeys> content_keys_;  // used by machinery_
  std::unique_ptr<UpdateMachinery> machinery_;
  std::unique_ptr<MachineChecks> checks_;
  TrialNotes notes_;
  Watchdog watchdog_;
  std::optional<ReleaseDigest> assigned_;  // by the director, and not withdrawn yet
  mutable std::mutex report_mutex_;        // guards report_, install_by_
  UpdateReport report_;
  std::optional<UnixTime> install_by_;  // of the last assignment
  BootClaim boot_;
  std::unique_ptr<Proxy> proxy_;
  std::unique_ptr<UpdateWorker> worker_;
  std::mutex metadata_mutex_;            // held while the image repository's store is used
  std::unique_ptr<BundleDesk> bundles_;  // hands plans to worker_, and hears its reports
};

}  // namespace sallyport::device
