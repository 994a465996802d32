#include "tests/bench/fanout.h"

#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "device-client/tpm/tls_key_provider.h"
#include "device-client/update/content_client.h"
#include "device-client/update/downloader.h"
#include "pki/crypto/hash.h"
#include "pki/crypto/openssl_ptr.h"

namespace sallyport {
namespace {

constexpr unsigned kContentListener = 3;
constexpr unsigned kNginxPort = kBasePort + 11;
constexpr const char* kNginx = "/usr/sbin/nginx";
constexpr uint64_t kGigabyte = 1'000'000'000;
constexpr size_t kRecord = 16 << 10;  // of TLS

class CountingSink final : public ota::ByteSink {
 public:
  Result<Unit> Write(ByteView bytes) override {
    received += bytes.size();
    return Unit{};
  }
  uint64_t received = 0;
};

Result<Bytes> SignDigest(const pki::PrivateKey& key, const Sha256Digest& digest) {
  const pki::EvpPkeyCtx context(EVP_PKEY_CTX_new(static_cast<EVP_PKEY*>(key.native()), nullptr));
  Bytes out(72);
  size_t size = out.size();
  SP_CHECK(EVP_PKEY_sign_init(context.get()) == 1 &&
           EVP_PKEY_sign(context.get(), out.data(), &size, digest.view().data(),
                         digest.view().size()) == 1);
  out.resize(size);
  return out;
}

// ClientOf is the download of an agent; its key signs in software.
std::unique_ptr<device::ContentClient> ClientOf(const ControlPlane& plane, const Device& device,
                                                const std::string& address) {
  auto key = device::TlsKeyReference::Register(
      device.tls_key().public_key(),
      [&device](const Sha256Digest& digest) { return SignDigest(device.tls_key(), digest); });
  if (!key) Die(key.error());
  const device::TlsIdentity identity{device.chain_pem(), *key,
                                     pki::KeyProtection::kTpmNullHierarchy};
  const device::ServerTrust trust = plane.Trust();
  return std::make_unique<device::ContentClient>(
      device::ContentEndpoint{address, trust.anchors_pem, trust.server_ids},
      [identity] { return std::optional(identity); });
}

// Load has `clients` devices load the file at once, each on a connection of its own.
Figures Load(const std::string& name, const ControlPlane& plane,
             const std::vector<std::unique_ptr<Device>>& devices, size_t clients,
             const std::string& address, pid_t server, const ota::RemoteFile& file) {
  std::vector<std::unique_ptr<device::ContentClient>> all;
  for (size_t i = 0; i < clients; ++i) all.push_back(ClientOf(plane, *devices[i], address));
  Figures out =
      InParallel(name + " to " + std::to_string(clients), server, clients, clients, [&](size_t i) {
        CountingSink sink;
        const auto got = all[i]->Get({device::TargetPath(file), 0, file.length, file.length}, sink);
        if (!got) Die(Error(got.error()).WithContext(name));
        SP_CHECK(sink.received == file.length);
      });
  out.bytes = clients * file.length;
  return out;
}

ota::RemoteFile WriteFile(ControlPlane& plane, uint64_t length) {
  Bytes content(length);
  uint32_t state = 1;
  for (uint8_t& byte : content)
    byte = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  ota::RemoteFile file{"releases/bench/1/payload.bin", length, pki::Sha256(content)};
  const std::filesystem::path path = plane.image_repository() + "/" + device::TargetPath(file);
  std::filesystem::create_directories(path.parent_path());
  PosixFileSystem files;
  SP_CHECK(WriteFileAtomically(files, path, content).has_value());
  return file;
}

// Nginx serves the same files with the certificate of sallyportd, in one process. It asks devices
// for their certificates, and takes an issuer for no anchor, so it builds no chain.
class Nginx {
 public:
  explicit Nginx(ControlPlane& plane) {
    const std::string root = plane.root() + "/nginx";
    std::filesystem::create_directories(root);
    plane.Write("/nginx/nginx.conf", ConfigOf(plane, root));
    pid_ = Spawn({kNginx, "-p", root, "-c", root + "/nginx.conf", "-e", root + "/error.log"},
                 root + "/log");
  }
  ~Nginx() {
    ::kill(pid_, SIGTERM);
    int status = 0;
    ::waitpid(pid_, &status, 0);
  }
  static std::string Address() { return "127.0.0.1:" + std::to_string(kNginxPort); }
  pid_t pid() const { return pid_; }
  // Answers waits until it serves `file`.
  bool Answers(const device::ContentClient& client, const ota::RemoteFile& file) const {
    for (int i = 0; i < 250; ++i) {
      ::poll(nullptr, 0, 20);  // it may take five seconds to start
      if (client.Size(device::TargetPath(file))) return true;
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) return false;
    }
    return false;
  }

 private:
  static std::string ConfigOf(const ControlPlane& plane, const std::string& root) {
    const std::string tls = plane.tls_directory();
    return "daemon off; master_process off; pid " + root + "/pid; error_log " + root +
           "/error.log;\nevents { worker_connections 1024; }\nhttp {\n"
           "access_log off; client_body_temp_path " +
           root + "; proxy_temp_path " + root + "; fastcgi_temp_path " + root +
           "; uwsgi_temp_path " + root + "; scgi_temp_path " + root + ";\nserver {\nlisten " +
           Address() + " ssl; ssl_protocols TLSv1.3;\nssl_certificate " + tls +
           "/chain.pem; ssl_certificate_key " + tls +
           "/key.pem;\nssl_verify_client optional_no_ca; "
           "ssl_verify_depth 4; ssl_client_certificate " +
           tls + "/chain.pem; ssl_session_tickets off;\nlocation /image/ { alias " +
           plane.image_repository() + "/; }\n}\n}\n";
  }
  pid_t pid_ = 0;
};

// CipherFloor is the suite that both ends choose, over the records that TLS makes.
Floor CipherFloor() {
  const pki::Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> context(EVP_CIPHER_CTX_new());
  const Bytes key(32, 1), iv(12, 2), plain(kRecord, 3);
  Bytes sealed(kRecord), tag(16);
  SP_CHECK(EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nullptr) == 1);
  const double begun = ThreadCpuSeconds();
  for (uint64_t done = 0; done < kGigabyte; done += kRecord) {
    int size = 0;
    SP_CHECK(EVP_EncryptInit_ex(context.get(), nullptr, nullptr, nullptr, iv.data()) == 1 &&
             EVP_EncryptUpdate(context.get(), sealed.data(), &size, plain.data(), kRecord) == 1 &&
             EVP_EncryptFinal_ex(context.get(), sealed.data(), &size) == 1 &&
             EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, 16, tag.data()) == 1);
  }
  return {"AES-256-GCM of 1 GB", (ThreadCpuSeconds() - begun) * 1e6};
}

// LoopbackFloor is what the kernel takes to send a gigabyte to another thread, in the clear.
Floor LoopbackFloor() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SP_CHECK(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
           ::listen(listener, 1) == 0 &&
           ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const int to = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SP_CHECK(::connect(to, reinterpret_cast<sockaddr*>(&address), size) == 0);
  std::jthread reader([from = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)] {
    Bytes buffer(64 << 10);
    while (::recv(from, buffer.data(), buffer.size(), 0) > 0) {
    }
    ::close(from);
  });
  const Bytes record(kRecord, 3);
  const double begun = ThreadCpuSeconds();
  for (uint64_t done = 0; done < kGigabyte;) {
    const ssize_t sent = ::send(to, record.data(), record.size(), MSG_NOSIGNAL);
    SP_CHECK(sent > 0);
    done += static_cast<uint64_t>(sent);
  }
  const double used = ThreadCpuSeconds() - begun;
  ::close(to);
  ::close(listener);
  return {"sending 1 GB over loopback", used * 1e6};
}

}  // namespace

void MeasureFanout(ControlPlane& plane, const std::vector<std::unique_ptr<Device>>& devices,
                   size_t mib, Report& report) {
  const ota::RemoteFile file = WriteFile(plane, uint64_t{mib} << 20);
  const std::string address = ControlPlane::Address(kContentListener);
  const size_t few = std::max<size_t>(devices.size() / 4, 1);
  for (const size_t clients : {few, devices.size()})
    report.figures.push_back(
        Load("content", plane, devices, clients, address, plane.server(), file));
  if (std::filesystem::exists(kNginx)) {
    const Nginx nginx(plane);
    if (nginx.Answers(*ClientOf(plane, *devices[0], Nginx::Address()), file))
      for (const size_t clients : {few, devices.size()})
        report.figures.push_back(
            Load("nginx", plane, devices, clients, Nginx::Address(), nginx.pid(), file));
  }
  report.floors.push_back(CipherFloor());
  report.floors.push_back(LoopbackFloor());
}

}  // namespace sallyport
