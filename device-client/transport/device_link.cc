#include "device-client/transport/device_link.h"

#include <chrono>

#include "device-client/transport/wire.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr std::chrono::seconds kUnaryDeadline{30};

CallFailure FromRefusal(const api::Refusal& refusal) {
  return {{Reason::kPolicyDenied,
           refusal.rule() + ": " + refusal.detail() + " reference " + refusal.reference_id()},
          Milliseconds(static_cast<int64_t>(refusal.retry_after_ms())),
          refusal.reference_id(),
          {refusal.events().begin(), refusal.events().end()}};
}

}  // namespace

DeviceLink::DeviceLink(const std::string& address, const ServerTrust& trust,
                       const ClientIdentity& identity, const LinkHello& hello, LinkHandler& handler)
    : handler_(handler), stub_(api::Device::NewStub(MakeChannel(address, trust, identity))) {
  stream_ = stub_->Stream(&context_);
  reader_ = std::thread([this, hello] {
    api::DeviceMessage message;
    api::Hello* const wire = message.mutable_hello();
    wire->set_protocol_version(pki::kProtocolVersion);
    wire->set_agent_version(hello.agent_version);
    wire->set_time_nonce(ToString(hello.time_nonce));
    wire->set_manifest_version(hello.manifest_version);
    wire->set_boot_slot(std::string(pki::BootSlotName(hello.boot_slot)));
    Send(message);
    ReadAll();
  });
}

DeviceLink::~DeviceLink() {
  context_.TryCancel();
  reader_.join();
}

void DeviceLink::ReadAll() {
  api::ServerMessage message;
  while (stream_->Read(&message)) Handle(message);
  const grpc::Status status = stream_->Finish();
  const bool refused = status.error_code() == grpc::StatusCode::PERMISSION_DENIED ||
                       status.error_code() == grpc::StatusCode::UNAUTHENTICATED;
  handler_.OnClosed(refused, FailureOf(status));
}

void DeviceLink::Handle(const api::ServerMessage& message) {
  switch (message.push_case()) {
    case api::ServerMessage::kEpoch:
      return handler_.OnTime({{message.epoch().time_ms()},
                              message.epoch().epoch(),
                              message.epoch().incarnation(),
                              ToBytes(message.epoch().time_signature())});
    case api::ServerMessage::kRenew: {
      const Result<Sha256Digest> leaf = ServerLeafHash(context_);
      const Result<Challenge> challenge = FromWire(message.renew());
      if (leaf && challenge) return handler_.OnChallenge(*challenge, *leaf);
      return Log(LogLevel::kWarning, "challenge_unusable",
                 {{"reason", (challenge ? leaf.error() : challenge.error()).ToString()}});
    }
    case api::ServerMessage::kCertificate: {
      const Result<IssuedCertificate> certificate = FromWire(message.certificate());
      if (certificate) handler_.OnCertificate(*certificate);
      return;
    }
    case api::ServerMessage::kRefusal: return handler_.OnRefusal(FromRefusal(message.refusal()));
    case api::ServerMessage::kRevocations: {
      std::vector<PeerRevocation> revocations;
      for (const api::Revocation& wire : message.revocations().revocations())
        revocations.push_back({wire.device_id(), wire.min_epoch()});
      return handler_.OnRevocations(revocations);
    }
    case api::ServerMessage::kManifest:
      return handler_.OnManifestAvailable(message.manifest().version());
    case api::ServerMessage::kBundle:
    case api::ServerMessage::PUSH_NOT_SET:
      return;  // a later server may push what this agent does not use
  }
}

void DeviceLink::Send(const api::DeviceMessage& message) {
  const std::lock_guard lock(write_mutex_);
  if (!stream_->Write(message)) Log(LogLevel::kDebug, "stream_write_failed");
}

void DeviceLink::SendRenewal(ByteView ticket, const Evidence& evidence) {
  api::DeviceMessage message;
  message.mutable_renewal()->set_ticket(ToString(ticket));
  ToWire(evidence, message.mutable_renewal()->mutable_evidence());
  Send(message);
}

void DeviceLink::SendAck(uint64_t epoch, uint64_t manifest_version) {
  api::DeviceMessage message;
  message.mutable_ack()->set_epoch(epoch);
  message.mutable_ack()->set_manifest_version(manifest_version);
  Send(message);
}

void DeviceLink::SendUpdateReport(const UpdateReport& report) {
  api::DeviceMessage message;
  ToWire(report, message.mutable_update_report());
  Send(message);
}

Result<ota::DeviceManifest> DeviceLink::GetManifest() {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kUnaryDeadline);
  api::DeviceManifest wire;
  const grpc::Status status = stub_->GetManifest(&context, {}, &wire);
  if (!status.ok()) return FailureOf(status).error;
  return FromWire(wire);
}

}  // namespace sallyport::device
