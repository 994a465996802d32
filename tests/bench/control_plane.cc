#include "tests/bench/control_plane.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "pki/ca/trust_bundle.h"
#include "pki/x509/pem.h"
#include "tests/bench/measured_process.h"

namespace sallyport {
namespace {

device::Evidence EvidenceOf(server::ReceivedEvidence from) {
  device::Evidence out;
  for (server::ReceivedQuote& quote : from.quotes)
    out.quotes.push_back({std::move(quote.attest), std::move(quote.signature), {}});
  out.event_log_hash = from.event_log_hash.value_or(pki::Sha256(from.event_log));
  out.event_log = std::move(from.event_log);
  out.tls_public = std::move(from.tls_public);
  out.certification = from.key_certification == server::KeyCertification::kCreation
                          ? device::KeyCertification::kCreation
                          : device::KeyCertification::kCertify;
  out.creation_data = std::move(from.creation_data);
  out.key_attest = std::move(from.key_attest);
  out.key_signature = std::move(from.key_signature);
  out.csr = std::move(from.csr);
  out.boot_slot = pki::BootSlot::kA;
  if (from.activation_proof) out.activation_proof = ToBytes(from.activation_proof->view());
  out.token = std::move(from.token);
  out.advertise = std::move(from.advertise);
  return out;
}

server::IssuedChallenge ChallengeOf(const device::Challenge& from) {
  server::IssuedChallenge out;
  out.ticket = from.ticket;
  out.ticket_id = from.ticket_id;
  out.nonce = from.nonce;
  for (const device::PcrRequest& request : from.pcr_requests)
    out.pcr_requests.push_back({request.bank, {request.pcrs.begin(), request.pcrs.end()}});
  if (from.bank_audit)
    out.bank_audit = {{from.bank_audit->banks.begin(), from.bank_audit->banks.end()},
                      {from.bank_audit->pcrs.begin(), from.bank_audit->pcrs.end()}};
  out.device_id = from.device_id;
  out.ek_spki_hash = from.ek_spki_hash;
  return out;
}

}  // namespace

void Die(const Error& error) {
  std::fprintf(stderr, "sallyport-bench: %s\n", error.ToString().c_str());
  ::_exit(4);  // the server goes with this process
}

ControlPlane::ControlPlane(const std::string& evidence_lifetime)
    : root_(std::filesystem::temp_directory_path() /
            ("sallyport-bench-" + std::to_string(getpid()))) {
  std::filesystem::create_directories(root_);
  Tool({"init", "--dir", root_ + "/cp", "--trust-domain", "edge.example", "--development",
        "--base-port", std::to_string(kBasePort), "--evidence-lifetime", evidence_lifetime});
  ::setenv("SALLYPORT_CONFIG", (root_ + "/cp/operator/config.yaml").c_str(), 1);
  Write("/cp/vendor/root.pem", pki::CertificatePem(vendor_.root_der()));
  AskForPcrsOfTheLog();
  Start();
  Write("/reference.json", ReferenceJson("uki 1", "online"));
  Tool({"reference", "import", root_ + "/reference.json", "--class", "online"});
  Tool({"token", "create", "--out", root_ + "/enrolment.json", "--site", "berlin"});
  const Bytes file = ReadFile(files_, root_ + "/enrolment.json", 1 << 20).value();
  enrolment_ = pki::ParseEnrolmentFile(AsText(file)).value();
}

ControlPlane::~ControlPlane() {
  ::kill(server_, SIGTERM);
  int status = 0;
  ::waitpid(server_, &status, 0);
  std::filesystem::remove_all(root_);
}

void ControlPlane::Allow(const std::vector<pki::PublicKey>& eks) {
  std::string lines;
  for (size_t i = 0; i < eks.size(); ++i)
    lines += HexEncode(pki::Sha256(eks[i].spki())) + " node-" + std::to_string(i) +
             " berlin online bench\n";
  Write("/eks.txt", lines);
  Tool({"device", "import", root_ + "/eks.txt"});
}

device::ServerTrust ControlPlane::Trust() const {
  std::string anchors;
  for (const auto& issuer : enrolment_->trust_bundle.server_issuers) anchors += issuer.ToPem();
  return {anchors, {enrolment_->server_ids.front().text()}};
}

int64_t ControlPlane::MemoryKib(std::string_view key) const {
  const Bytes status =
      ReadFile(files_, "/proc/" + std::to_string(server_) + "/status", 1 << 16).value();
  const std::string_view text = AsText(status);
  const size_t at = text.find(key);
  return at == text.npos ? 0 : std::strtol(text.data() + at + key.size() + 1, nullptr, 10);
}

void ControlPlane::Tool(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), SiblingProgram("sallyport"));
  const pid_t pid = Spawn(arguments, root_ + "/tool.log");
  int status = 0;
  SP_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

void ControlPlane::Write(const std::string& path, std::string_view text) {
  SP_CHECK(WriteFileAtomically(files_, root_ + path, AsBytes(text)).has_value());
}

void ControlPlane::AskForPcrsOfTheLog() {
  const std::string path = root_ + "/cp/sallyportd.yaml";
  const Bytes config = ReadFile(files_, path, 1 << 20).value();
  Write("/cp/sallyportd.yaml",
        std::string(AsText(config)) + "pcrs: [0, 4, 7]\nlog_level: warning\n");
}

void ControlPlane::Start() {
  server_ = Spawn({SiblingProgram("sallyportd"), "--config", root_ + "/cp/sallyportd.yaml"},
                  root_ + "/server.log");
  for (int i = 0; i < 300; ++i) {  // each probe takes its time
    const pid_t probe = Spawn({SiblingProgram("sallyport"), "status"}, root_ + "/probe.log");
    int status = 0;
    SP_CHECK(waitpid(probe, &status, 0) == probe);
    if (status == 0) return;
  }
  std::fprintf(stderr, "sallyport-bench: no server; see %s\n", (root_ + "/server.log").c_str());
  std::abort();
}

void Device::Enrol() {
  device::EnrolClient client(ControlPlane::Address(0), plane_.Trust());
  const server::BeginInput begin = tpm_.Begin(pki::Purpose::kEnrol);
  const auto answer =
      client.Begin(begin.purpose, begin.ek_certificates, begin.ek_public, begin.ak_public);
  if (!answer) Die(answer.error());
  server::IssuedChallenge challenge = ChallengeOf(answer->challenge);
  challenge.credential_blob = answer->credential_blob;
  challenge.encrypted_secret = answer->encrypted_secret;
  auto proof = tpm_.Prove(pki::Purpose::kEnrol, challenge, answer->server_leaf_hash);
  const auto admitted = client.Prove(proof.ticket, EvidenceOf(std::move(proof.evidence)));
  if (!admitted) Die(admitted.error());
  Keep(*admitted->certificate);
}

void Device::Keep(const device::IssuedCertificate& certificate) {
  chain_.clear();
  for (const Bytes& der : certificate.chain) chain_ += pki::CertificatePem(der);
}

std::pair<Bytes, device::Evidence> Device::Renewal(const device::Challenge& challenge,
                                                   const Sha256Digest& leaf) {
  auto proof = tpm_.Prove(pki::Purpose::kRenew, ChallengeOf(challenge), leaf,
                          {.send_log = false, .certify_again = true});
  return {std::move(proof.ticket), EvidenceOf(std::move(proof.evidence))};
}

}  // namespace sallyport
