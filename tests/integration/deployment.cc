#include "tests/integration/deployment.h"

#include "pki/ca/signers.h"
#include "pki/x509/pem.h"
#include "tests/node/vendor_ca.h"

namespace sallyport::testing_server {
namespace {

constexpr uint64_t kFileMax = 1 << 20;
constexpr int kPorts = 5;
constexpr Duration kPatience = Seconds(30);

bool IsFree(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound =
      ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(socket);
  return bound;
}

int FreePorts() {
  for (int first = 20000 + ::getpid() * 37 % 12000;; first = 20000 + (first + kPorts) % 12000) {
    int free = 0;
    while (free < kPorts && IsFree(first + free)) ++free;
    if (free == kPorts) return first;
  }
}

std::string Program(const std::string& name) {
  const char* const folder = std::getenv("SALLYPORT_BIN");
  return std::string(folder != nullptr ? folder : "build/dev/bin") + "/" + name;
}

}  // namespace

Deployment::Deployment(DeploymentOptions options) : options_(std::move(options)) {
  const Result<Unit> founded = Found();
  const Result<Unit> started = founded ? StartServer() : founded;
  EXPECT_TRUE(started.has_value()) << started.error().ToString();
}

Result<Unit> Deployment::Found() {
  base_port_ = FreePorts();
  SP_TRY(auto init, node::ChildProcess::Start(
                        {Program("sallyport"), "init", "--dir", dir(), "--trust-domain",
                         "edge.example", "--development", "--evidence-lifetime",
                         options_.evidence_lifetime, "--base-port", std::to_string(base_port_)},
                        dir() + "/init.log"));
  if (init.Wait(kPatience) != 0) return Error{Reason::kInternal, Read("init.log")};
  PosixFileSystem files;
  std::string config = Read("sallyportd.yaml");
  config.insert(config.find("profiles:\n"), options_.class_lines);
  if (options_.maker) config += "    iak_roots: " + dir() + "/iak-roots\n";
  SP_TRY(WriteFileAtomically(files, dir() + "/sallyportd.yaml", AsBytes(config)));
  const server::StateLayout layout{dir() + "/state"};
  SP_TRY(keys_, server::OpenServerKeys(files, layout, dir() + "/unlock.key"));
  SP_TRY(bundle_, pki::ParseTrustBundle(Read("state/trust-bundle.json")));
  SP_TRY(const node::VendorCa vendor, node::VendorCa::Make(RealClock().Wall(), random_));
  SP_TRY(vendor.Save(files, VendorDir()));
  for (const std::string name : {"/root.pem", "/intermediate.pem"})
    SP_TRY(WriteFileAtomically(files, dir() + "/vendor" + name, AsBytes(Read("made" + name))));
  return options_.maker ? FoundMaker() : Unit{};
}

Result<Unit> Deployment::FoundMaker() {
  PosixFileSystem files;
  SP_TRY(const node::VendorCa maker, node::VendorCa::Make(RealClock().Wall(), random_));
  SP_TRY(maker.Save(files, MakerDir()));
  SP_TRY(files.MakeDirectories(dir() + "/iak-roots"));
  for (const std::string name : {"/root.pem", "/intermediate.pem"})
    SP_TRY(WriteFileAtomically(files, dir() + "/iak-roots" + name,
                               AsBytes(Read("machine-maker" + name))));
  return Unit{};
}

Result<Unit> Deployment::StartServer() {
  SP_TRY(server_,
         node::ChildProcess::Start({Program("sallyportd"), "--config", dir() + "/sallyportd.yaml"},
                                   dir() + "/sallyportd.log"));
  const RealClock clock;
  for (const Duration begun = clock.Boot(); clock.Boot().ms - begun.ms < kPatience.ms;) {
    if (server_->Wait(Milliseconds(50))) break;
    if (IsReady()) return Unit{};
  }
  return Error{Reason::kUnavailable, Read("sallyportd.log")};
}

bool Deployment::IsReady() const {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port(ListenerName::kHttp)));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const std::string request = "GET /readyz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  char answer[12] = {};
  const bool answered =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 &&
      ::send(socket, request.data(), request.size(), MSG_NOSIGNAL) > 0 &&
      ::recv(socket, answer, sizeof(answer), MSG_WAITALL) == sizeof(answer);
  ::close(socket);
  return answered && std::string_view(answer, sizeof(answer)) == "HTTP/1.1 200";
}

Result<std::string> Deployment::Ask(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), Program("sallyport"));
  std::filesystem::remove(dir() + "/answer.txt");
  ::setenv("SALLYPORT_CONFIG", (dir() + "/operator/config.yaml").c_str(), 1);
  SP_TRY(auto asked, node::ChildProcess::Start(arguments, dir() + "/answer.txt"));
  const bool yes = asked.Wait(kPatience) == 0;
  std::string answer = Read("answer.txt");
  if (!yes) return Error{Reason::kPolicyDenied, std::move(answer), "sallyport"};
  return answer;
}

std::string Deployment::Read(const std::string& name) const {
  PosixFileSystem files;
  const Result<Bytes> bytes = ReadFile(files, dir() + "/" + name, kFileMax);
  return bytes ? ToString(*bytes) : bytes.error().ToString();
}

device::ServerTrust Deployment::Trust() const {
  device::ServerTrust trust{"", {"spiffe://edge.example/server/control"}};
  for (const pki::IssuerCertificate& issuer : bundle_->server_issuers)
    trust.anchors_pem += issuer.ToPem();
  return trust;
}

device::ClientIdentity Deployment::Device() {
  const UnixTime now = RealClock().Wall();
  const auto signer = pki::DeviceLeafSigner::Make(keys_->device_issuer, bundle_->trust_domain);
  const pki::IdentityExtension extension{.attested_at = now,
                                         .tier = pki::Tier::kAttested,
                                         .incarnation = 1,
                                         .epoch = 1,
                                         .boot_id = random_.Next<BootId>(),
                                         .release_digest = std::nullopt};
  const auto leaf =
      signer->SignDeviceLeaf(pki::DeviceIdFromEk(bundle_->trust_domain, AsBytes("ek of nobody")),
                             key_.public_key().spki(), extension, now, now + Hours(1), random_);
  return {*key_.SealedPem(""),
          pki::CertificatePem(leaf->der) + keys_->device_issuer.certificate.ToPem()};
}

device::ClientIdentity Deployment::Server() {
  const UnixTime now = RealClock().Wall();
  const auto signer = pki::ServerLeafSigner::Make(keys_->server_issuer, bundle_->trust_domain);
  const auto leaf = signer->SignServerLeaf("control", {{"localhost"}, {Bytes{127, 0, 0, 1}}},
                                           key_.public_key().spki(), now, now + Hours(1), random_);
  return {*key_.SealedPem(""),
          pki::CertificatePem(leaf->der) + keys_->server_issuer.certificate.ToPem()};
}

device::ClientIdentity Deployment::Operator() const {
  return {Read("operator/admin.key"), Read("operator/admin.pem")};
}

}  // namespace sallyport::testing_server
