// The proxy's TLS: 1.3 only, both ends show a certificate, ALPN `sallyport/1`, and nothing that
// could carry an old verification over to a new connection: no tickets, no resumption, no early
// data. One context per identity and set of anchors; connections keep the one they began with.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "pki/base/time.h"
#include "pki/x509/chain_verifier.h"

namespace sallyport::device {

inline constexpr const char* kProxyAlpn = "sallyport/1";

// ProxyIdentity is how this device shows itself: its chain, of which the leaf is sent, and the key
// of the leaf.
struct ProxyIdentity {
  std::string chain_pem;
  std::shared_ptr<void> key;  // EVP_PKEY*, of any provider; the proxy holds its own references
};
// ShareKey takes over one reference of an EVP_PKEY*.
std::shared_ptr<void> ShareKey(void* evp_pkey);

// ProxyTrust is whom it believes: the device issuers in force.
struct ProxyTrust {
  pki::RoleAnchors anchors;
  pki::TrustDomain trust_domain;
};

struct ProxyTime {
  UnixTime now;
  bool sure = false;  // false: conditions on time do not hold (architecture 10)
};
using ProxyClock = std::function<ProxyTime()>;

enum class TlsResult : uint8_t { kDone, kWantRead, kWantWrite, kEnd, kFailed };

// TlsStream is one TLS connection over a non-blocking descriptor it does not own. One thread.
class TlsStream {
 public:
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Handshake returns kDone only when the peer is verified and the protocol is ours.
  TlsResult Handshake();
  // peer is the verified other end, null before the handshake is done.
  const pki::VerifiedPeer* peer() const { return peer_ ? &*peer_ : nullptr; }
  // failure says why Handshake failed: the verifier's rule, or OpenSSL's words.
  const std::string& failure() const { return failure_; }

  // Read and Write move at least one byte when kDone; kEnd is an orderly end, a cut is kFailed.
  TlsResult Read(std::span<uint8_t> out, size_t& size);
  // What was written may wait for Flush, so that several records leave in one system call.
  TlsResult Write(ByteView bytes, size_t& size);
  TlsResult Flush();
  // Shutdown tells the peer that nothing follows, and flushes; reading goes on. Call it again on
  // kWantWrite.
  TlsResult Shutdown();
  // self_id is the device id that this end shows.
  const std::string& self_id() const;

 private:
  friend class TlsContext;
  friend struct TlsCallbacks;
  explicit TlsStream(std::shared_ptr<const class TlsContext> context)
      : context_(std::move(context)) {}
  TlsResult ResultOf(int code);
  void Verify(void* store_context);
  TlsResult CheckProtocol();

  std::shared_ptr<const TlsContext> context_;
  void* ssl_ = nullptr;  // SSL*, owned
  std::optional<pki::VerifiedPeer> peer_;
  std::string failure_;
};

// TlsContext is immutable; streams of one thread may share it with those of another.
class TlsContext : public std::enable_shared_from_this<TlsContext> {
 public:
  // Make refuses a chain that VerifyPeer would not accept as a device (its errors), and a key that
  // is not the leaf's (kMismatch, rule tls.key).
  static Result<std::shared_ptr<const TlsContext>> Make(const ProxyIdentity& identity,
                                                        ProxyTrust trust, ProxyClock clock);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // self is this device as its peers see it.
  const pki::VerifiedPeer& self() const { return *self_; }
  Result<std::unique_ptr<TlsStream>> Accept(int fd) const { return NewStream(fd, true); }
  Result<std::unique_ptr<TlsStream>> Connect(int fd) const { return NewStream(fd, false); }

 private:
  friend class TlsStream;
  friend struct TlsCallbacks;
  TlsContext(ProxyTrust trust, ProxyClock clock)
      : trust_(std::move(trust)), clock_(std::move(clock)) {}
  Result<Unit> Load(const ProxyIdentity& identity, ByteView leaf);
  Result<std::unique_ptr<TlsStream>> NewStream(int fd, bool server) const;

  ProxyTrust trust_;
  ProxyClock clock_;
  std::optional<pki::VerifiedPeer> self_;
  void* ctx_ = nullptr;  // SSL_CTX*, owned
};

}  // namespace sallyport::device
