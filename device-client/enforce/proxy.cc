#include "device-client/enforce/proxy.h"

#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <unordered_map>

#include "pki/base/log.h"

namespace sallyport::device {
namespace {

// How long a listener rests when the process has no descriptor left.
constexpr Duration kExhaustedPause = Milliseconds(100);
// A permit without an end is looked at again by then.
constexpr Duration kPermitMax = Hours(12);

policy::Party PartyOf(const pki::VerifiedPeer& peer) {
  policy::Party party;
  party.id = peer.name();
  party.not_after = peer.certificate().not_after + Seconds(1);
  if (const pki::IdentityExtension* extension = peer.extension()) {
    party.tier = extension->tier;
    party.attested_at = extension->attested_at;
    party.epoch = extension->epoch;
  }
  return party;
}

std::string ReasonOf(const policy::Decision& decision) {
  std::string reason(decision.reason);
  if (!decision.allowed() && !decision.by.empty()) reason += " " + std::string(decision.by);
  if (decision.nearest)
    reason += ": " + std::string(decision.nearest->grant) + " failed " +
              std::string(decision.nearest->failed);
  return reason;
}

std::string WouldOf(const policy::Decision& decision) {
  if (!decision.would_deny.empty()) return "deny " + std::string(decision.would_deny);
  if (!decision.would_allow.empty()) return "allow " + std::string(decision.would_allow);
  return {};
}

// FindDestination takes an id or, since people write configurations, the name that the slice gives
// to an id.
const policy::DeviceFacts* FindDestination(const policy::VerifiedSlice& slice,
                                           std::string_view to) {
  if (const policy::DeviceFacts* const peer = slice.FindPeer(to)) return peer;
  const auto& facts = slice.policy().facts();
  const auto found = std::ranges::find(facts, to, &policy::DeviceFacts::name);
  return found == facts.end() ? nullptr : &*found;
}

std::string DirectionName(Direction direction) {
  return direction == Direction::kInbound ? "inbound" : "outbound";
}

}  // namespace

// Core lives on the loop's thread once it runs; the proxy's functions reach it through
// EventLoop::Call.
class Proxy::Core final : public ConnectionHost {
 public:
  Core(ProxyConfig config, ProxyClock clock, std::unique_ptr<EventLoop> loop)
      : config_(std::move(config)), clock_(std::move(clock)), loop_(std::move(loop)) {}

  Result<Unit> Bind() {
    if (!config_.listen.empty()) {
      SP_TRY(inbound_.fd, Listen(config_.listen));
      WatchListener(inbound_, [this](UniqueFd fd) { AcceptInbound(std::move(fd)); });
    }
    for (const OutboundService& service : config_.outbound) {
      auto listener = std::make_unique<Listener>();
      SP_TRY(listener->fd, Listen(service.listen));
      WatchListener(*listener,
                    [this, &service](UniqueFd fd) { AcceptOutbound(service, std::move(fd)); });
      outbound_.push_back(std::move(listener));
    }
    return Ok();
  }

  void Launch() {
    thread_ = std::thread([this] {
      // libssl writes with write(2): a peer that left must be an error, not a signal.
      sigset_t pipe;
      sigemptyset(&pipe);
      sigaddset(&pipe, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
      loop_->Run();
    });
  }

  void Stop() {
    if (!thread_.joinable()) return;
    loop_->Call([this] {
      inbound_.watch.reset();
      for (const auto& listener : outbound_) listener->watch.reset();
      ForEach([](Connection& connection) { connection.Cut("stopped"); });
    });
    loop_->Stop();
    thread_.join();
    ended_.clear();
  }

  // Apply runs `change` on the loop and judges every connection again.
  void Apply(const std::function<void()>& change) {
    Call([&] {
      change();
      ForEach([](Connection& connection) { connection.Reevaluate(); });
    });
  }
  void Call(const EventLoop::Task& task) {
    if (thread_.joinable()) loop_->Call(task);
  }

  // --- ConnectionHost ---
  Permit Judge(Direction direction, const pki::VerifiedPeer& peer,
               const std::string& service) override {
    Permit permit;
    permit.reason = "no-policy";
    if (!slice_ || !tls_ || slice_->header().device != tls_->self().name()) return permit;
    permit.policy_version = static_cast<uint64_t>(slice_->policy_version());
    const policy::Party self = PartyOf(tls_->self());
    const policy::Party other = PartyOf(peer);
    const auto revoked = min_epochs_.find(peer.name());
    if (revoked != min_epochs_.end() && other.epoch < revoked->second) {
      permit.reason = "revoked";
      return permit;
    }
    const bool inbound = direction == Direction::kInbound;
    const ProxyTime time = clock_();
    const policy::Decision decision = policy::DecideSlice(
        *slice_, inbound ? other : self, inbound ? self : other, service, time.now, time.sure);
    permit.allowed = decision.allowed();
    permit.reason = ReasonOf(decision);
    permit.grant = decision.allowed() ? decision.by
                   : decision.nearest ? decision.nearest->grant
                                      : "";
    permit.valid_until = decision.valid_until.value_or(time.now + kPermitMax);
    permit.log_opened = decision.log == policy::LogChoice::kAll;
    permit.log_refused = decision.log != policy::LogChoice::kNone;
    permit.would = WouldOf(decision);
    return permit;
  }

  std::string BackendOf(const std::string& service) override {
    const auto found = std::ranges::find(config_.inbound, service, &InboundService::service);
    return found == config_.inbound.end() ? "" : found->backend;
  }

  ProxyTime Now() override { return clock_(); }

  void Opened(Connection& connection) override {
    --opening_;
    const Permit& permit = connection.permit();
    if (permit.log_opened || !permit.would.empty())
      Log(LogLevel::kInfo, "connection_opened",
          {{"direction", DirectionName(connection.direction())},
           {"peer", connection.peer_id()},
           {"service", connection.service()},
           {"grant", permit.grant},
           {"would", permit.would},
           {"valid_until", FormatRfc3339(permit.valid_until)}});
  }

  void Ended(Connection& connection, const std::string& reason, bool was_open) override {
    if (!was_open) --opening_;
    const bool closed = was_open && connection.permit().allowed;
    if (!closed)
      Refuse(connection.direction(), connection.peer_id(), connection.service(), reason, was_open,
             connection.permit().log_refused);
    // It may be in the middle of its own function: it dies when the loop comes round.
    auto node = connections_.extract(&connection);
    if (!node) return;
    if (ended_.empty()) loop_->Post([this] { ended_.clear(); });
    ended_.push_back(std::move(node.mapped()));
  }

  std::vector<ConnectionInfo> List() const {
    std::vector<ConnectionInfo> list;
    for (const auto& [key, connection] : connections_) {
      if (!connection->open()) continue;
      const Permit& permit = connection->permit();
      list.push_back({connection->direction(), connection->peer_id(), connection->service(),
                      permit.grant, permit.policy_version, permit.valid_until,
                      connection->bytes_sent(), connection->bytes_received()});
    }
    return list;
  }

  uint16_t port() const { return inbound_.fd.valid() ? LocalPort(inbound_.fd.get()) : uint16_t{0}; }
  std::vector<uint16_t> outbound_ports() const {
    std::vector<uint16_t> ports;
    for (const auto& listener : outbound_) ports.push_back(LocalPort(listener->fd.get()));
    return ports;
  }

  ProxyClock clock() const { return clock_; }
  void set_tls(std::shared_ptr<const TlsContext> tls) { tls_ = std::move(tls); }
  void set_slice(std::shared_ptr<const policy::VerifiedSlice> slice) { slice_ = std::move(slice); }
  void set_min_epochs(std::map<std::string, uint64_t> min_epochs) {
    min_epochs_ = std::move(min_epochs);
  }
  const std::deque<Refusal>& refusals() const { return refusals_; }

 private:
  struct Listener {
    UniqueFd fd;
    std::unique_ptr<EventLoop::Watch> watch;
  };

  void WatchListener(Listener& listener, std::function<void(UniqueFd)> accepted) {
    listener.watch = std::make_unique<EventLoop::Watch>(
        *loop_, listener.fd.get(), EPOLLIN,
        [this, &listener, accepted = std::move(accepted)](uint32_t) {
          auto fd = Accept(listener.fd.get());
          if (fd && fd->valid()) return accepted(*std::move(fd));
          if (fd) return;
          Log(LogLevel::kWarning, "proxy_out_of_descriptors");
          listener.watch->SetInterest(0);
          loop_->Schedule(kExhaustedPause, [&listener] {
            if (listener.watch) listener.watch->SetInterest(EPOLLIN);
          });
        });
  }

  void Refuse(Direction direction, const std::string& peer, const std::string& service,
              const std::string& reason, bool was_open, bool log) {
    if (refusals_.size() == kRefusalsMax) refusals_.pop_front();
    refusals_.push_back({clock_().now, direction, peer, service, reason, was_open});
    if (log)
      Log(LogLevel::kInfo, was_open ? "connection_cut" : "connection_refused",
          {{"direction", DirectionName(direction)},
           {"peer", peer},
           {"service", service},
           {"reason", reason}});
  }

  // Admit says why no further connection can begin, or nothing.
  std::string Admit() const {
    if (!tls_) return "no-identity";
    if (connections_.size() >= config_.connections_max) return "too-many-connections";
    if (opening_ >= config_.opening_max) return "too-many-handshakes";
    return {};
  }

  void Begin(Direction direction, const std::string& peer, const std::string& service,
             Result<std::unique_ptr<Connection>> connection) {
    if (!connection)
      return Refuse(direction, peer, service, connection.error().ToString(), false, true);
    ++opening_;
    Connection* const key = connection->get();
    connections_.emplace(key, *std::move(connection));
  }

  void AcceptInbound(UniqueFd fd) {
    if (const std::string why = Admit(); !why.empty())
      return Refuse(Direction::kInbound, "", "", why, false, true);
    Begin(Direction::kInbound, "", "",
          Connection::Inbound(*loop_, *this, *tls_, std::move(fd), config_.open_timeout));
  }

  void AcceptOutbound(const OutboundService& service, UniqueFd fd) {
    std::string why = Admit();
    const policy::DeviceFacts* const peer = slice_ ? FindDestination(*slice_, service.to) : nullptr;
    if (why.empty() && !peer) why = slice_ ? "unknown-device" : "no-policy";
    if (why.empty() && service.address.empty() && peer->endpoint.empty()) why = "no-endpoint";
    if (!why.empty()) {
      ResetOnClose(fd.get());
      return Refuse(Direction::kOutbound, service.to, service.service, why, false, true);
    }
    const std::string& address = service.address.empty() ? peer->endpoint : service.address;
    Begin(Direction::kOutbound, peer->id, service.service,
          Connection::Outbound(*loop_, *this, tls_, std::move(fd),
                               {service.service, peer->id, address}, config_.open_timeout));
  }

  void ForEach(const std::function<void(Connection&)>& visit) {
    std::vector<Connection*> all;
    for (const auto& [key, connection] : connections_) all.push_back(key);
    for (Connection* connection : all)
      if (connections_.contains(connection)) visit(*connection);
  }

  const ProxyConfig config_;
  const ProxyClock clock_;
  const std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
  Listener inbound_;
  std::vector<std::unique_ptr<Listener>> outbound_;
  std::shared_ptr<const TlsContext> tls_;  // shared with the connections that began under it
  std::shared_ptr<const policy::VerifiedSlice> slice_;  // shared with the agent
  std::map<std::string, uint64_t> min_epochs_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> ended_;
  std::deque<Refusal> refusals_;
  size_t opening_ = 0;
};

Proxy::Proxy(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Proxy::~Proxy() { core_->Stop(); }

Result<std::unique_ptr<Proxy>> Proxy::Start(ProxyConfig config, ProxyClock clock) {
  SP_TRY(std::unique_ptr<EventLoop> loop, EventLoop::Make());
  auto core = std::make_unique<Core>(std::move(config), std::move(clock), std::move(loop));
  SP_TRY(core->Bind());
  core->Launch();
  return std::unique_ptr<Proxy>(new Proxy(std::move(core)));
}

Result<Unit> Proxy::SetIdentity(const ProxyIdentity& identity, ProxyTrust trust) {
  SP_TRY(std::shared_ptr<const TlsContext> tls,
         TlsContext::Make(identity, std::move(trust), core_->clock()));
  core_->Apply([&] { core_->set_tls(std::move(tls)); });
  return Ok();
}

void Proxy::SetSlice(std::shared_ptr<const policy::VerifiedSlice> slice) {
  core_->Apply([&] { core_->set_slice(std::move(slice)); });
}

void Proxy::SetRevocations(std::map<std::string, uint64_t> min_epochs) {
  core_->Apply([&] { core_->set_min_epochs(std::move(min_epochs)); });
}

void Proxy::Reevaluate() {
  core_->Apply([] {});
}

std::vector<ConnectionInfo> Proxy::Connections() const {
  std::vector<ConnectionInfo> list;
  core_->Call([&] { list = core_->List(); });
  return list;
}

std::vector<Refusal> Proxy::Refusals() const {
  std::vector<Refusal> list;
  core_->Call([&] { list.assign(core_->refusals().begin(), core_->refusals().end()); });
  return list;
}

uint16_t Proxy::port() const { return core_->port(); }
std::vector<uint16_t> Proxy::outbound_ports() const { return core_->outbound_ports(); }
void Proxy::Stop() { core_->Stop(); }

}  // namespace sallyport::device
