// ControlPlaneStub: both listeners of a server, as little of it as an agent needs to live. It
// judges proofs with the verifier's own rules, remembers what it was sent, and does to the agent
// what a test asks for.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "attestation-server/api/v1/device.grpc.pb.h"
#include "attestation-server/api/v1/enrolment.grpc.pb.h"
#include "attestation-server/evidence/quote.h"
#include "pki/base/random.h"
#include "pki/ca/enrolment_file.h"
#include "pki/tpm/transcript.h"
#include "pki/x509/leaf_template.h"

namespace sallyport::testing_server {

namespace api = ::sallyport::attestation::v1;

// What the stub has seen; a copy is taken under the lock.
struct Seen {
  std::vector<api::BeginRequest> begins;
  std::vector<api::Evidence> proofs;    // of the enrol listener
  std::vector<api::Evidence> renewals;  // of the stream
  std::vector<std::string> streams;     // SPIFFE id of each stream's client
  std::vector<api::Hello> hellos;
  std::vector<api::Ack> acks;
  std::vector<std::string> complaints;  // rules that failed; a good agent causes none
};

// Knobs, changed while it runs.
struct Conduct {
  bool refuse_begin = false;
  bool pending = false;
  bool refuse_stream = false;
  Duration lifetime = Hours(1);
  std::vector<uint64_t> recorded_floors = {};
};

// ControlPlaneStub: thread-safe. Serves on two unix sockets in `dir` until it is destroyed.
class ControlPlaneStub {
 public:
  explicit ControlPlaneStub(const std::string& dir, std::string server_name = "control");
  ~ControlPlaneStub();

  pki::EnrolmentFile EnrolmentFile() const;
  // PushTime signs `time` for the newest stream; `forged` with another key.
  void PushTime(UnixTime time, bool forged = false);
  void Set(const Conduct& conduct);
  // WaitFor returns false when `condition` did not come true within 20 s.
  bool WaitFor(const std::function<bool(const Seen&)>& condition);
  Seen seen() const;
  // Push sends a message on the newest stream.
  void Push(const api::ServerMessage& message);
  void PushChallenge();
  // EndStreams cuts them; with `refused` the device is told that it is not admitted.
  void EndStreams(bool refused);
  std::string device_id() const;

 private:
  struct Issuer {
    pki::LeafTemplate leaves;
    pki::IssuerCertificate certificate;
  };
  class EnrolmentService;
  class DeviceService;
  class StreamReactor;
  struct Pending {
    pki::TranscriptFields fields;
    pki::PublicArea ak;
    Bytes secret;
  };
  Issuer MakeIssuer(const std::string& name, pki::NameScope scope);
  std::unique_ptr<grpc::Server> Serve(const std::string& path, grpc::Service& service,
                                      bool client_certificates);
  api::Challenge MakeChallenge(pki::Purpose purpose);  // with the lock held
  grpc::Status Begin(const api::BeginRequest& request, api::BeginResponse& response);
  grpc::Status Prove(const api::ProveRequest& request, api::ProveResponse& response);
  void Handle(const api::DeviceMessage& message);         // with the lock held
  void Pump();                                            // with the lock held
  void FinishStream(const grpc::Status& status);          // with the lock held
  void Judge(const api::Evidence& evidence);              // with the lock held
  api::Certificate Issue(const api::Evidence& evidence);  // with the lock held

  const std::string dir_;
  const std::string server_name_;
  RealClock clock_;
  mutable SystemRandom random_;
  const pki::TrustDomain trust_domain_;
  pki::PrivateKey time_key_ = *pki::PrivateKey::Generate(pki::KeyType::kEd25519);
  pki::PrivateKey root_key_;
  pki::IssuerCertificate root_;
  Issuer device_issuer_;
  Issuer server_issuer_;
  pki::PrivateKey server_key_;
  pki::IssuedLeaf server_leaf_;

  mutable std::mutex state_mutex_;  // guards all below
  std::condition_variable changed_;
  Conduct conduct_;
  Seen seen_;
  std::optional<Pending> pending_;
  std::optional<Sha256Digest> ek_spki_hash_;
  std::string device_id_;
  std::deque<api::ServerMessage> pushes_;
  StreamReactor* stream_ = nullptr;  // the newest; owns itself

  std::unique_ptr<grpc::Service> enrolment_service_;
  std::unique_ptr<grpc::Service> device_service_;
  std::unique_ptr<grpc::Server> enrol_server_;
  std::unique_ptr<grpc::Server> device_server_;
};

}  // namespace sallyport::testing_server
