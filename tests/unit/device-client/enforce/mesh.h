// Two devices with proxies on loopback, a hierarchy that certifies them, and a policy between them.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "device-client/enforce/proxy.h"
#include "pki/crypto/hash.h"
#include "pki/x509/pem.h"
#include "tests/unit/pki/x509/world.h"

namespace sallyport::device {

// Waits in tests end after this, so that a fault fails instead of hanging.
inline constexpr int kPatienceSeconds = 10;

inline UniqueFd ConnectTo(uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SP_CHECK(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  const timeval patience{kPatienceSeconds, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return fd;
}

inline bool SendAll(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t size = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(size));
  }
  return true;
}

// Receive returns up to `size` bytes, fewer at the end of the stream; `cut` tells a reset from an
// end.
struct Received {
  Bytes bytes;
  bool cut = false;
};
inline Received Receive(int fd, size_t size) {
  Received received;
  Bytes chunk(64 << 10);
  while (received.bytes.size() < size) {
    const ssize_t got =
        recv(fd, chunk.data(), std::min(chunk.size(), size - received.bytes.size()), 0);
    if (got <= 0) {
      received.cut = got < 0;
      break;
    }
    Append(received.bytes, ByteView(chunk).first(static_cast<size_t>(got)));
  }
  return received;
}

// EchoServer answers every connection with what it sends, and ends when the sender ends.
class EchoServer {
 public:
  EchoServer() : listener_(*Listen("127.0.0.1:0")), thread_([this] { Run(); }) {}
  ~EchoServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    for (std::thread& worker : workers_) worker.join();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(LocalPort(listener_.get())); }
  int accepted() const { return accepted_; }

 private:
  void Run() {
    const int flags = fcntl(listener_.get(), F_GETFL);
    fcntl(listener_.get(), F_SETFL, flags & ~O_NONBLOCK);
    for (;;) {
      UniqueFd fd(accept(listener_.get(), nullptr, nullptr));
      if (!fd.valid()) return;
      ++accepted_;
      workers_.emplace_back([fd = std::move(fd)] {
        Bytes chunk(64 << 10);
        for (;;) {
          const ssize_t got = recv(fd.get(), chunk.data(), chunk.size(), 0);
          if (got <= 0 || !SendAll(fd.get(), ByteView(chunk).first(static_cast<size_t>(got))))
            return;
        }
      });
    }
  }
  UniqueFd listener_;
  std::atomic<int> accepted_ = 0;
  std::vector<std::thread> workers_;
  std::thread thread_;
};

// TestTime is what both proxies take for the time.
struct TestTime {
  std::atomic<int64_t> now_ms;
  std::atomic<bool> sure = true;
  ProxyClock clock() {
    return [this] { return ProxyTime{{now_ms}, sure}; };
  }
};

class Mesh {
 public:
  struct Node {
    pki::DeviceId id;
    pki::PrivateKey key;
    std::string tag;
  };

  Mesh() { time.now_ms = world.now.ms; }

  Node MakeNode(std::string_view name, std::string tag) {
    return {DeviceIdFromEk(world.domain, AsBytes(name)),
            *pki::PrivateKey::Generate(pki::KeyType::kP256), std::move(tag)};
  }

  static std::shared_ptr<void> KeyOf(const pki::PrivateKey& key) {
    EVP_PKEY_up_ref(static_cast<EVP_PKEY*>(key.native()));
    return ShareKey(key.native());
  }
  ProxyIdentity IdentityOf(const Node& node, uint64_t epoch = 42, Duration lifetime = Hours(1)) {
    pki::IdentityExtension extension = world.extension;
    extension.epoch = epoch;
    const pki::IssuedLeaf leaf =
        *world.devices.SignDeviceLeaf(node.id, node.key.public_key().spki(), extension, world.now,
                                      world.now + lifetime, world.random);
    return {pki::CertificatePem(leaf.der), KeyOf(node.key)};
  }
  ProxyTrust trust() const { return {world.anchors, world.domain}; }

  policy::RuleSet Rules() const {
    policy::GrantRule grant;
    grant.id = "cam-to-rec";
    grant.from.tags = {{"camera"}};
    grant.to.tags = {{"recorder"}};
    grant.ports = {{policy::Protocol::kTcp, 8554, 8554}};
    policy::RuleSet rules;
    rules.name = "test";
    rules.grants = {grant};
    rules.guardrails.services["rtsp"] = grant.ports;
    rules.guardrails.services["ssh"] = {{policy::Protocol::kTcp, 22, 22}};
    return rules;
  }

  std::shared_ptr<const policy::VerifiedSlice> SliceOf(const Node& node,
                                                       const policy::RuleSet& rules,
                                                       const std::vector<Node>& nodes,
                                                       int64_t counter = 1) const {
    std::vector<policy::DeviceFacts> facts;
    for (const Node& n : nodes)
      facts.push_back({n.id.text(),
                       n.tag,
                       "site",
                       {n.tag},
                       pki::Tier::kNone,
                       policy::DeviceState::kActive,
                       0,
                       ""});
    const auto manifest =
        MakePolicyManifest(rules, {counter, world.now - Days(1), world.now + Days(30)});
    const auto texts = MakePolicyTexts(rules);
    const std::string bytes =
        *BuildSlice({"edge.example", node.id.text(), {1, counter}, world.now, world.now + Days(1)},
                    Compile(rules, facts), manifest, texts);
    const Sha256Digest digest = pki::Sha256(AsBytes(bytes));
    auto slice = policy::VerifySlice(bytes, {digest, manifest, "edge.example", node.id.text(), {}});
    SP_CHECK(slice.has_value());
    return std::make_shared<const policy::VerifiedSlice>(*std::move(slice));
  }

  void Advance(Duration by) { time.now_ms += by.ms; }

  pki::World world;
  TestTime time;
};

// WaitFor polls a proxy until `done`; the last answer is returned.
inline bool WaitFor(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kPatienceSeconds);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace sallyport::device
