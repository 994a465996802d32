// Proxy: the L4 mTLS proxy of a device. Local applications reach services of other devices through
// it, and other devices reach local services through it, where both ends' policy says yes, for as
// long as it does. A new slice, revocation, identity or deadline judges every live connection again
// and cuts what lost its reason.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device-client/enforce/connection.h"
#include "policies/decision/slice.h"

namespace sallyport::device {

struct InboundService {
  std::string service;
  std::string backend;  // host:port, numeric
};

struct OutboundService {
  std::string service;
  std::string to;       // device id, or its name in the slice
  std::string listen;   // host:port, numeric; where local applications connect
  std::string address;  // host:port of the peer's proxy; empty: the endpoint in the slice
};

struct ProxyConfig {
  std::string listen = "0.0.0.0:15008";  // empty: no inbound services
  std::vector<InboundService> inbound;
  std::vector<OutboundService> outbound;
  size_t connections_max = 1024;
  // Handshakes are the costly part: further ones are refused before any cryptography.
  size_t opening_max = 128;
  Duration open_timeout = Seconds(10);
};

struct ConnectionInfo {
  Direction direction;
  std::string peer;
  std::string service;
  std::string grant;
  uint64_t policy_version;
  UnixTime valid_until;
  uint64_t bytes_sent;
  uint64_t bytes_received;
};

// Refusal is a connection that was not opened, or was cut.
struct Refusal {
  UnixTime at;
  Direction direction;
  std::string peer;  // empty when it was never verified
  std::string service;
  std::string reason;
  bool was_open;
};

// The last refusals kept for `connections` and reports.
inline constexpr size_t kRefusalsMax = 256;

class Proxy {
 public:
  // Start binds every listener and serves on a thread of its own; everything is refused until an
  // identity and a slice are set. `clock` is asked from that thread and from SetIdentity. A key in
  // a TPM signs on that thread: a handshake holds up the flows for as long as a signature takes.
  // Errors of Listen.
  static Result<std::unique_ptr<Proxy>> Start(ProxyConfig config, ProxyClock clock);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // All of these are thread-safe. The setters return when every live connection was judged anew;
  // live connections keep the certificate they began with. Errors of TlsContext::Make; the old
  // identity then stays.
  Result<Unit> SetIdentity(const ProxyIdentity& identity, ProxyTrust trust);
  void SetSlice(std::shared_ptr<const policy::VerifiedSlice> slice);
  // SetRevocations replaces the map: a peer whose certificate has a lower epoch is refused.
  void SetRevocations(std::map<std::string, uint64_t> min_epochs);
  // Reevaluate is for when trusted time was learned or lost.
  void Reevaluate();

  std::vector<ConnectionInfo> Connections() const;
  std::vector<Refusal> Refusals() const;         // oldest first
  uint16_t port() const;                         // of `listen`, 0 when there is none
  std::vector<uint16_t> outbound_ports() const;  // in the order of the config
  // Stop cuts everything. Nothing else may be called meanwhile or after.
  void Stop();

 private:
  class Core;
  explicit Proxy(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace sallyport::device
