// One proxied connection: an application's TCP on this side, TLS to a peer's proxy on the other. A
// state machine that an EventLoop drives; who may talk is the host's to say.
#pragma once

#include <memory>
#include <string>

#include "device-client/enforce/event_loop.h"
#include "device-client/enforce/preface.h"
#include "device-client/enforce/tls_context.h"

namespace sallyport::device {

enum class Direction : uint8_t { kInbound, kOutbound };

// Permit is why a connection may live, and until when.
struct Permit {
  bool allowed = false;
  std::string reason;  // "granted", or what to tell the peer and the log
  std::string grant;   // that allows, or came nearest
  uint64_t policy_version = 0;
  UnixTime valid_until;
  bool log_opened = false;
  bool log_refused = true;
  std::string would;  // what an audit rule would have done: "allow <grant>" or "deny <guardrail>"
};

class Connection;

// ConnectionHost decides and keeps connections; the proxy is its one implementation besides tests.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual Permit Judge(Direction direction, const pki::VerifiedPeer& peer,
                       const std::string& service) = 0;
  // BackendOf returns the address behind an inbound service, empty for an unknown one.
  virtual std::string BackendOf(const std::string& service) = 0;
  virtual ProxyTime Now() = 0;
  // Opened and Ended are told once. After Ended the host destroys the connection, but not before it
  // returned.
  virtual void Opened(Connection& connection) = 0;
  virtual void Ended(Connection& connection, const std::string& reason, bool was_open) = 0;
};

// What an outbound connection wants.
struct OutboundTarget {
  std::string service;
  std::string device;
  std::string address;
};

class Connection {
 public:
  // Both take the accepted socket. The handshake, preface and dial must end within `open_timeout`.
  static Result<std::unique_ptr<Connection>> Inbound(EventLoop& loop, ConnectionHost& host,
                                                     const TlsContext& tls, UniqueFd accepted,
                                                     Duration open_timeout);
  static Result<std::unique_ptr<Connection>> Outbound(EventLoop& loop, ConnectionHost& host,
                                                      std::shared_ptr<const TlsContext> tls,
                                                      UniqueFd accepted, OutboundTarget target,
                                                      Duration open_timeout);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Reevaluate judges a live connection again: the end moves, or it is cut.
  void Reevaluate();
  // Cut ends it at once; both sides see a reset, never an orderly end.
  void Cut(const std::string& reason);

  Direction direction() const { return direction_; }
  const std::string& service() const { return service_; }
  // peer_id is the verified peer, before that the destination asked for, or empty.
  std::string peer_id() const;
  const Permit& permit() const { return permit_; }
  bool open() const { return phase_ == Phase::kOpen; }
  uint64_t bytes_sent() const { return to_peer_.total; }
  uint64_t bytes_received() const { return to_local_.total; }

 private:
  enum class Phase : uint8_t {
    kDialPeer,
    kHandshake,
    kPreface,
    kAnswer,
    kDialBackend,
    kRefuse,
    kOpen,
    kEnded
  };
  // Buffer holds what the sink did not take at once: less than one scratch, and no memory while the
  // sink keeps up.
  struct Buffer {
    Bytes data;
    size_t begin = 0;
    uint64_t total = 0;     // bytes of the flow that passed
    bool end = false;       // the source ended
    bool end_sent = false;  // and the sink was told
    ByteView view() const { return ByteView(data).subspan(begin); }
    bool empty() const { return begin == data.size(); }
    bool done() const { return end && empty(); }
    void Put(ByteView bytes) { Append(data, bytes); }
    void Consume(size_t size);
  };
  enum class Progress : uint8_t { kNone, kSome };

  Connection(EventLoop& loop, ConnectionHost& host, Direction direction)
      : loop_(loop), host_(host), direction_(direction) {}
  void Start(Duration open_timeout);
  void OnEvents(uint32_t events, std::unique_ptr<EventLoop::Watch>& watch);
  void Advance();
  // Step functions do what the phase allows now; kSome when another step may follow at once.
  Progress Step();
  Progress StepDialPeer();
  Progress StepHandshake();
  Progress StepPreface();
  Progress StepAnswer();
  Progress StepDialBackend();
  Progress StepRefuse();
  Progress StepOpen();
  Progress FlushToPeer();
  Progress FlushToLocal();
  Progress ReceiveFromLocal();
  Progress ReceiveFromPeer();
  Progress ForwardEnds();
  // FillPreface reads from the peer into to_local_, where a preface is looked for.
  Progress FillPreface();
  size_t WriteToPeer(ByteView bytes);
  size_t WriteToLocal(ByteView bytes);
  // peer_blocked: the peer's socket took less than it was given.
  bool peer_blocked() const { return tls_wants_write_ || !to_peer_.empty(); }
  bool JudgeAgain();
  void Refuse(PrefaceCode code, const std::string& reason);
  void Open();
  void ArmDeadline();
  void End(const std::string& reason, bool orderly);
  void WatchLocal();
  void UpdateInterest();
  uint32_t TlsInterest() const;
  uint32_t LocalInterest() const;

  EventLoop& loop_;
  ConnectionHost& host_;
  const Direction direction_;
  Phase phase_ = Phase::kHandshake;
  std::shared_ptr<const TlsContext> tls_context_;
  UniqueFd tls_fd_;
  UniqueFd local_fd_;
  std::unique_ptr<TlsStream> tls_;
  std::unique_ptr<EventLoop::Watch> tls_watch_;
  std::unique_ptr<EventLoop::Watch> local_watch_;
  EventLoop::TimerId timer_;   // to open in time; once open, the deadline
  EventLoop::TimerId resume_;  // the rest of a long burst
  std::string service_;
  std::string destination_;
  Permit permit_;
  Buffer to_peer_;
  Buffer to_local_;
  bool tls_wants_write_ = false;
  bool dialled_ = false;  // the connect that was started has ended, one way or the other
};

}  // namespace sallyport::device
