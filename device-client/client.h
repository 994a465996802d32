// The agent's loop: one thread that does what the state table asks for
// (device-client/agent/machine.h), and tells the sinks what is true now.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>

#include "device-client/agent/agent_state.h"
#include "device-client/agent/attester.h"
#include "device-client/agent/backoff.h"
#include "device-client/agent/machine.h"
#include "device-client/agent/trusted_time.h"
#include "device-client/config.h"
#include "device-client/tpm/tls_identity.h"
#include "device-client/transport/device_link.h"
#include "device-client/transport/enrol_client.h"
#include "ota/metadata/uptane.h"
#include "pki/ca/enrolment_file.h"

namespace sallyport::device {

// AgentSinks is what the agent's identity and orders are for. Called on the client's thread; must
// not block long.
class AgentSinks {
 public:
  virtual ~AgentSinks() = default;
  // OnIdentity: a certificate was issued; it holds until `not_after`.
  virtual void OnIdentity(const TlsIdentity& identity, const IssuedCertificate& certificate) = 0;
  // OnAttested: this boot was judged and admitted.
  virtual void OnAttested(const IssuedCertificate& certificate) = 0;
  // OnRecordedFloors: the highest rollback floors that the server has of this TPM.
  virtual void OnRecordedFloors(const FloorCounts& floors) = 0;
  // OnRefused: the server judged this boot and said no.
  virtual void OnRefused() = 0;
  // OnStream: the stream's first signed time has come, or the stream has ended.
  virtual void OnStream(bool up) = 0;
  virtual void OnRevocations(const std::vector<PeerRevocation>& revocations) = 0;
  // OnManifest returns the version that is now obeyed.
  virtual Result<uint64_t> OnManifest(const ota::DeviceManifest& manifest) = 0;
  virtual uint64_t HeldManifestVersion() = 0;
  virtual BootClaim Boot() = 0;
};

// ClientStatus is what `sallyport-agent status` shows.
struct ClientStatus {
  State state = State::kEnrol;
  std::string device_id;
  std::string posture;
  std::string tier;
  std::string last_refusal;
  UnixTime not_after;
  uint64_t epoch = 0;
  uint64_t renewals = 0;  // since the program started
};

struct ClientParts {
  Tpm& tpm;
  FileSystem& files;
  const Clock& clock;
  Random& random;
  AgentSinks& sinks;
};

class Client final : public LinkHandler {
 public:
  Client(ClientParts parts, Config config, pki::EnrolmentFile enrolment, AgentState state);
  ~Client() override;

  // Run returns after Stop, or with `once` after the first admission (kPolicyDenied when it was
  // refused).
  Result<Unit> Run(bool once);
  void Stop();
  // Report queues an update report for the server. Thread-safe.
  void Report(UpdateReport report);
  ClientStatus status() const;
  // Alive: the client's thread goes on, or waits as long as it said it would. Thread-safe.
  bool Alive() const;
  TrustedTime& time() { return *time_; }
  // server_trust is whom this device takes for its server.
  const ServerTrust& server_trust() const { return trust_; }

  void OnTime(const SignedTime& time) override;
  void OnChallenge(const Challenge& challenge, const Sha256Digest& server_leaf_hash) override;
  void OnCertificate(const IssuedCertificate& certificate) override;
  void OnRefusal(const CallFailure& refusal) override;
  void OnRevocations(const std::vector<PeerRevocation>& revocations) override;
  void OnManifestAvailable(uint64_t version) override;
  void OnClosed(bool refused, const CallFailure& failure) override;

 private:
  struct ChallengeArrived {
    Challenge challenge;
    Sha256Digest leaf;
  };
  struct ManifestArrived {
    uint64_t version;
  };
  struct LinkClosed {
    bool refused;
    CallFailure failure;
  };
  using Message =
      std::variant<SignedTime, ChallengeArrived, IssuedCertificate, CallFailure,
                   std::vector<PeerRevocation>, ManifestArrived, LinkClosed, UpdateReport>;
  struct Session {
    TlsKey key;
    std::shared_ptr<const TlsKeyReference> reference;
    IssuedCertificate certificate;
  };

  void Step();
  void Move(Event event);
  void Attempt(pki::Purpose purpose);
  Result<ProveAnswer> Prove(pki::Purpose purpose, EnrolClient& server);
  Result<BeginAnswer> Begin(pki::Purpose purpose, EnrolClient& server);
  Result<TlsKey> NewKey(const Challenge& challenge);
  void Admit(IssuedCertificate certificate);
  void Failed(const Error& error, const CallFailure& failure);
  void Connect();
  void Stream();
  void Handle(Message message);
  Result<Unit> CheckTime(const SignedTime& time) const;
  void HandleTime(const SignedTime& time);
  void Renew(const ChallengeArrived& arrived);
  void FetchManifest(uint64_t version);
  void TellIdentity();
  void DropLink();
  void Wait(Duration duration);
  // Promise says when the thread will be heard of again.
  void Promise(Duration wait);
  void Post(Message message);
  std::optional<Message> NextMessage(Duration wait);
  bool stopping() const;
  bool Lapsed() const;
  void Remember();
  void RememberTime(UnixTime now);
  void SetStatus(const std::string& refusal);

  ClientParts parts_;
  const Config config_;
  const pki::EnrolmentFile enrolment_;
  AgentState state_;
  const std::shared_ptr<TrustedTime> time_;
  const ServerTrust trust_;
  Attester attester_;
  Backoff backoff_;
  Bytes ak_public_;

  // The client's thread only.
  State machine_ = State::kEnrol;
  std::optional<Session> session_;
  std::optional<TlsKey> tried_key_;
  std::unique_ptr<DeviceLink> link_;
  UnixTime switch_at_;
  Bytes time_nonce_;         // of the hello of link_
  UnixTime link_not_after_;  // of the certificate that link_ presented
  bool heard_ = false;       // a signed time came over link_
  bool log_known_ = false;   // the server has judged this boot's log
  bool refused_once_ = false;
  bool unsaved_ = false;  // the disk was full: tried again with the next signed time
  uint64_t renewals_ = 0;

  std::atomic<int64_t> promised_ms_ = 0;  // boot clock

  mutable std::mutex inbox_mutex_;  // guards inbox_, stopping_, status_
  std::condition_variable inbox_changed_;
  std::deque<Message> inbox_;
  bool stopping_ = false;
  ClientStatus status_;
};

}  // namespace sallyport::device
