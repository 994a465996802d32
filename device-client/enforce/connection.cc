#include "device-client/enforce/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sallyport::device {
namespace {

// After this many steps other connections get their turn: about 1 MiB in bulk.
constexpr int kStepsMax = 16;
// A deadline further away is looked at again by then, in case trusted time moved.
constexpr Duration kDeadlineMax = Hours(1);

bool Again(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

void Connection::Buffer::Consume(size_t size) {
  begin += size;
  if (!empty()) return;
  Bytes().swap(data);
  begin = 0;
}

Result<std::unique_ptr<Connection>> Connection::Inbound(EventLoop& loop, ConnectionHost& host,
                                                        const TlsContext& tls, UniqueFd accepted,
                                                        Duration open_timeout) {
  std::unique_ptr<Connection> connection(new Connection(loop, host, Direction::kInbound));
  SP_TRY(connection->tls_, tls.Accept(accepted.get()));
  connection->tls_fd_ = std::move(accepted);
  connection->phase_ = Phase::kHandshake;
  connection->Start(open_timeout);
  return connection;
}

Result<std::unique_ptr<Connection>> Connection::Outbound(EventLoop& loop, ConnectionHost& host,
                                                         std::shared_ptr<const TlsContext> tls,
                                                         UniqueFd accepted, OutboundTarget target,
                                                         Duration open_timeout) {
  std::unique_ptr<Connection> connection(new Connection(loop, host, Direction::kOutbound));
  auto dial = StartConnect(target.address);
  if (!dial) {
    ResetOnClose(accepted.get());
    return std::move(dial).error();
  }
  connection->tls_fd_ = *std::move(dial);
  connection->tls_context_ = std::move(tls);
  connection->local_fd_ = std::move(accepted);
  connection->service_ = std::move(target.service);
  connection->destination_ = std::move(target.device);
  connection->phase_ = Phase::kDialPeer;
  connection->WatchLocal();
  connection->Start(open_timeout);
  return connection;
}

Connection::~Connection() {
  loop_.Cancel(timer_);
  loop_.Cancel(resume_);
}

void Connection::Start(Duration open_timeout) {
  tls_watch_ =
      std::make_unique<EventLoop::Watch>(loop_, tls_fd_.get(), TlsInterest(),
                                         [this](uint32_t events) { OnEvents(events, tls_watch_); });
  timer_ = loop_.Schedule(open_timeout, [this] { End("timeout", false); });
}

void Connection::WatchLocal() {
  local_watch_ = std::make_unique<EventLoop::Watch>(
      loop_, local_fd_.get(), LocalInterest(),
      [this](uint32_t events) { OnEvents(events, local_watch_); });
}

std::string Connection::peer_id() const {
  return tls_ && tls_->peer() ? tls_->peer()->name() : destination_;
}

void Connection::OnEvents(uint32_t events, std::unique_ptr<EventLoop::Watch>& watch) {
  if (phase_ == Phase::kEnded) return;
  const bool dialling = (phase_ == Phase::kDialPeer && &watch == &tls_watch_) ||
                        (phase_ == Phase::kDialBackend && &watch == &local_watch_);
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (dialling && (broken || (events & EPOLLOUT) != 0)) dialled_ = true;
  Advance();
  if (phase_ == Phase::kEnded || !broken || dialling) return;
  // A broken socket reports itself for ever. What it still holds is read when the other side takes
  // it.
  if (phase_ != Phase::kOpen) return End("closed", false);
  watch->Silence();
}

void Connection::Advance() {
  for (int steps = 0; phase_ != Phase::kEnded; ++steps) {
    if (steps == kStepsMax) {
      loop_.Cancel(resume_);
      resume_ = loop_.Schedule({}, [this] { Advance(); });
      break;
    }
    if (Step() == Progress::kNone) break;
  }
  if (phase_ != Phase::kEnded) UpdateInterest();
}

Connection::Progress Connection::Step() {
  switch (phase_) {
    case Phase::kDialPeer: return StepDialPeer();
    case Phase::kHandshake: return StepHandshake();
    case Phase::kPreface: return StepPreface();
    case Phase::kAnswer: return StepAnswer();
    case Phase::kDialBackend: return StepDialBackend();
    case Phase::kRefuse: return StepRefuse();
    case Phase::kOpen: return StepOpen();
    case Phase::kEnded: return Progress::kNone;
  }
  std::abort();
}

Connection::Progress Connection::StepDialPeer() {
  if (!dialled_) return Progress::kNone;
  const int error = ConnectError(tls_fd_.get());
  auto tls = tls_context_->Connect(tls_fd_.get());
  if (error != 0 || !tls) {
    End(std::string("peer-unreachable: ") + std::strerror(error), false);
    return Progress::kNone;
  }
  tls_ = *std::move(tls);
  phase_ = Phase::kHandshake;
  return Progress::kSome;
}

Connection::Progress Connection::StepHandshake() {
  const TlsResult result = tls_->Handshake();
  tls_wants_write_ = result == TlsResult::kWantWrite;
  if (result == TlsResult::kWantRead || result == TlsResult::kWantWrite) return Progress::kNone;
  if (result != TlsResult::kDone) {
    End("handshake: " + tls_->failure(), false);
    return Progress::kNone;
  }
  if (direction_ == Direction::kInbound) {
    phase_ = Phase::kPreface;
    return Progress::kSome;
  }
  if (tls_->peer()->name() != destination_) {
    End("wrong-peer", false);
    return Progress::kNone;
  }
  if (!JudgeAgain()) {
    End(permit_.reason, false);
    return Progress::kNone;
  }
  to_peer_.Put(WriteClientPreface({service_, destination_, permit_.policy_version}));
  phase_ = Phase::kAnswer;
  return Progress::kSome;
}

Connection::Progress Connection::StepPreface() {
  const auto read = ReadClientPreface(to_local_.view());
  if (!read) {
    End(std::string(read.error().name()), false);
    return Progress::kNone;
  }
  if (!*read) return FillPreface();
  to_local_.Consume((*read)->size);
  service_ = (*read)->preface.service;
  if ((*read)->preface.destination != tls_->self_id()) {
    Refuse(PrefaceCode::kDenied, "wrong-destination");
    return Progress::kSome;
  }
  if (!JudgeAgain()) {
    Refuse(PrefaceCode::kDenied, permit_.reason);
    return Progress::kSome;
  }
  auto backend = StartConnect(host_.BackendOf(service_));
  if (!backend) {
    Refuse(PrefaceCode::kBackendUnavailable, "no-backend");
    return Progress::kSome;
  }
  local_fd_ = *std::move(backend);
  phase_ = Phase::kDialBackend;
  WatchLocal();
  return Progress::kNone;
}

Connection::Progress Connection::StepAnswer() {
  const Progress sent = FlushToPeer();
  if (phase_ == Phase::kEnded) return Progress::kNone;
  const auto read = ReadServerPreface(to_local_.view());
  if (!read) {
    End(std::string(read.error().name()), false);
    return Progress::kNone;
  }
  if (!*read) return FillPreface() == Progress::kSome ? Progress::kSome : sent;
  const ServerPreface answer = (*read)->preface;
  to_local_.Consume((*read)->size);
  if (answer.code != PrefaceCode::kAllowed) {
    permit_.allowed = false;
    End("peer-refused: " + answer.reason, false);
  } else if (!JudgeAgain()) {
    End(permit_.reason, false);
  } else {
    Open();
  }
  return phase_ == Phase::kOpen ? Progress::kSome : Progress::kNone;
}

Connection::Progress Connection::StepDialBackend() {
  if (!dialled_) return Progress::kNone;
  if (ConnectError(local_fd_.get()) != 0) {
    Refuse(PrefaceCode::kBackendUnavailable, "backend-unreachable");
  } else if (!JudgeAgain()) {
    Refuse(PrefaceCode::kDenied, permit_.reason);
  } else {
    to_peer_.Put(
        WriteServerPreface({PrefaceCode::kAllowed, permit_.reason, permit_.policy_version,
                            static_cast<uint64_t>(std::max<int64_t>(permit_.valid_until.ms, 0))}));
    Open();
  }
  return Progress::kSome;
}

void Connection::Refuse(PrefaceCode code, const std::string& reason) {
  permit_.allowed = false;
  permit_.reason = reason;
  to_peer_.Put(WriteServerPreface({code, reason, permit_.policy_version, 0}));
  local_watch_.reset();
  local_fd_.Reset();
  phase_ = Phase::kRefuse;
}

Connection::Progress Connection::StepRefuse() {
  const Progress sent = FlushToPeer();
  if (phase_ == Phase::kEnded || peer_blocked()) return sent;
  if (tls_->Shutdown() == TlsResult::kWantWrite) {
    tls_wants_write_ = true;
    return Progress::kNone;
  }
  End(permit_.reason, true);
  return Progress::kNone;
}

void Connection::Open() {
  phase_ = Phase::kOpen;
  ArmDeadline();
  host_.Opened(*this);
}

Connection::Progress Connection::StepOpen() {
  Progress progress = Progress::kNone;
  for (const auto step :
       {&Connection::FlushToPeer, &Connection::ReceiveFromLocal, &Connection::FlushToLocal,
        &Connection::ReceiveFromPeer, &Connection::ForwardEnds}) {
    if (phase_ != Phase::kOpen) return Progress::kNone;
    if ((this->*step)() == Progress::kSome) progress = Progress::kSome;
  }
  return progress;
}

size_t Connection::WriteToPeer(ByteView bytes) {
  size_t written = 0;
  TlsResult result = TlsResult::kDone;
  while (written < bytes.size() && result == TlsResult::kDone) {
    size_t size = 0;
    result = tls_->Write(bytes.subspan(written), size);
    written += size;
  }
  if (result == TlsResult::kDone) result = tls_->Flush();
  tls_wants_write_ = result == TlsResult::kWantWrite;
  if (result == TlsResult::kFailed || result == TlsResult::kEnd) End(tls_->failure(), false);
  return written;
}

size_t Connection::WriteToLocal(ByteView bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t size =
        send(local_fd_.get(), bytes.data() + written, bytes.size() - written, MSG_NOSIGNAL);
    if (size < 0) {
      if (!Again(errno)) End("local-closed", false);
      break;
    }
    written += static_cast<size_t>(size);
  }
  to_local_.total += written;
  return written;
}

Connection::Progress Connection::FlushToPeer() {
  if (!peer_blocked()) return Progress::kNone;
  const size_t written = WriteToPeer(to_peer_.view());
  to_peer_.Consume(written);
  return written > 0 ? Progress::kSome : Progress::kNone;
}

Connection::Progress Connection::FlushToLocal() {
  if (to_local_.empty()) return Progress::kNone;
  const size_t written = WriteToLocal(to_local_.view());
  to_local_.Consume(written);
  return written > 0 ? Progress::kSome : Progress::kNone;
}

Connection::Progress Connection::ReceiveFromLocal() {
  if (peer_blocked() || to_peer_.end) return Progress::kNone;
  const std::span<uint8_t> scratch = loop_.scratch();
  const ssize_t size = recv(local_fd_.get(), scratch.data(), scratch.size(), 0);
  if (size < 0) {
    if (!Again(errno)) End("local-closed", false);
    return Progress::kNone;
  }
  if (size == 0) {
    to_peer_.end = true;
    return Progress::kSome;
  }
  const ByteView bytes = scratch.first(static_cast<size_t>(size));
  to_peer_.total += bytes.size();
  const size_t written = WriteToPeer(bytes);
  to_peer_.Put(bytes.subspan(written));
  return Progress::kSome;
}

Connection::Progress Connection::ReceiveFromPeer() {
  if (!to_local_.empty() || to_local_.end) return Progress::kNone;
  const std::span<uint8_t> scratch = loop_.scratch();
  size_t filled = 0;
  TlsResult result = TlsResult::kDone;
  while (result == TlsResult::kDone && filled < scratch.size()) {
    size_t size = 0;
    result = tls_->Read(scratch.subspan(filled), size);
    filled += size;
  }
  if (result == TlsResult::kWantWrite) tls_wants_write_ = true;
  if (filled > 0) {
    const ByteView bytes = scratch.first(filled);
    to_local_.Put(bytes.subspan(WriteToLocal(bytes)));
  }
  if (result == TlsResult::kEnd) to_local_.end = true;
  if (result == TlsResult::kFailed && phase_ == Phase::kOpen) End(tls_->failure(), false);
  return filled > 0 || result == TlsResult::kEnd ? Progress::kSome : Progress::kNone;
}

Connection::Progress Connection::ForwardEnds() {
  Progress progress = Progress::kNone;
  if (to_peer_.done() && !to_peer_.end_sent && !tls_wants_write_) {
    const TlsResult result = tls_->Shutdown();
    tls_wants_write_ = result == TlsResult::kWantWrite;
    to_peer_.end_sent = result == TlsResult::kDone;
    if (result == TlsResult::kFailed) End(tls_->failure(), false);
    progress = to_peer_.end_sent ? Progress::kSome : Progress::kNone;
  }
  if (to_local_.done() && !to_local_.end_sent) {
    shutdown(local_fd_.get(), SHUT_WR);
    to_local_.end_sent = true;
    progress = Progress::kSome;
  }
  if (phase_ == Phase::kOpen && to_peer_.end_sent && to_local_.end_sent) End("closed", true);
  return progress;
}

Connection::Progress Connection::FillPreface() {
  const std::span<uint8_t> room = loop_.scratch().first(kPrefaceSizeMax);
  size_t size = 0;
  const TlsResult result = tls_->Read(room, size);
  if (result == TlsResult::kWantWrite) tls_wants_write_ = true;
  if (result == TlsResult::kWantRead || result == TlsResult::kWantWrite) return Progress::kNone;
  if (result != TlsResult::kDone) {
    End(result == TlsResult::kEnd ? "closed" : tls_->failure(), false);
    return Progress::kNone;
  }
  to_local_.Put(room.first(size));
  return Progress::kSome;
}

bool Connection::JudgeAgain() {
  permit_ = host_.Judge(direction_, *tls_->peer(), service_);
  return permit_.allowed;
}

void Connection::Reevaluate() {
  if (phase_ != Phase::kOpen) return;
  if (JudgeAgain()) {
    ArmDeadline();
  } else {
    Cut(permit_.reason);
  }
}

void Connection::ArmDeadline() {
  loop_.Cancel(timer_);
  const Duration left = std::min(permit_.valid_until - host_.Now().now, kDeadlineMax);
  timer_ = loop_.Schedule(left, [this] { Reevaluate(); });
}

void Connection::Cut(const std::string& reason) {
  if (phase_ != Phase::kEnded) End(reason, false);
}

void Connection::End(const std::string& reason, bool orderly) {
  if (phase_ == Phase::kEnded) return;
  const bool was_open = phase_ == Phase::kOpen;
  phase_ = Phase::kEnded;
  loop_.Cancel(timer_);
  loop_.Cancel(resume_);
  for (const int fd : {tls_fd_.get(), local_fd_.get()})
    if (!orderly && fd >= 0) ResetOnClose(fd);
  host_.Ended(*this, reason, was_open);
}

uint32_t Connection::TlsInterest() const {
  const uint32_t write = peer_blocked() ? uint32_t{EPOLLOUT} : 0U;
  switch (phase_) {
    case Phase::kDialPeer: return EPOLLOUT;
    case Phase::kHandshake: return tls_wants_write_ ? EPOLLOUT : EPOLLIN;
    case Phase::kPreface:
    case Phase::kAnswer: return EPOLLIN | write;
    case Phase::kDialBackend: return 0;
    case Phase::kRefuse: return EPOLLOUT;
    case Phase::kOpen:
      return (to_local_.empty() && !to_local_.end ? uint32_t{EPOLLIN} : 0U) | write;
    case Phase::kEnded: return 0;
  }
  std::abort();
}

uint32_t Connection::LocalInterest() const {
  if (phase_ == Phase::kDialBackend) return EPOLLOUT;
  if (phase_ != Phase::kOpen) return 0;
  return (!peer_blocked() && !to_peer_.end ? uint32_t{EPOLLIN} : 0U) |
         (to_local_.empty() ? 0U : uint32_t{EPOLLOUT});
}

void Connection::UpdateInterest() {
  if (tls_watch_) tls_watch_->SetInterest(TlsInterest());
  if (local_watch_) local_watch_->SetInterest(LocalInterest());
}

}  // namespace sallyport::device
