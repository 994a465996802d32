// The life of the agent's connection as a table (architecture 6). Pure; the loop
// (device-client/client.h) does what a state asks for and feeds back what happened.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::device {

enum class State : uint8_t {
  kEnrol,     // the server does not know this device yet
  kReattest,  // known, but without a certificate of this boot
  kConnect,   // has a live certificate, no stream
  kStream,    // attached
};

enum class Event : uint8_t {
  kAdmitted,      // a certificate was issued
  kPending,       // enrolled, waits for an operator
  kRefused,       // the server said no
  kUnreachable,   // no answer
  kConnected,     // the stream is up
  kDisconnected,  // the stream ended
  kRenewed,       // a newer certificate for the same key
  kSwitchDue,     // move the connection to the newer certificate
  kLapsed,        // the certificate is past its end
};

struct Edge {
  State from;
  Event event;
  State to;
};

inline constexpr Edge kEdges[] = {
    {State::kEnrol, Event::kAdmitted, State::kConnect},
    {State::kEnrol, Event::kPending, State::kEnrol},
    {State::kEnrol, Event::kRefused, State::kEnrol},
    {State::kEnrol, Event::kUnreachable, State::kEnrol},

    {State::kReattest, Event::kAdmitted, State::kConnect},
    {State::kReattest, Event::kPending, State::kReattest},
    {State::kReattest, Event::kRefused, State::kReattest},
    {State::kReattest, Event::kUnreachable, State::kReattest},

    {State::kConnect, Event::kConnected, State::kStream},
    {State::kConnect, Event::kRefused, State::kReattest},
    {State::kConnect, Event::kUnreachable, State::kConnect},
    {State::kConnect, Event::kLapsed, State::kReattest},

    {State::kStream, Event::kRenewed, State::kStream},
    {State::kStream, Event::kSwitchDue, State::kConnect},
    {State::kStream, Event::kRefused, State::kReattest},
    {State::kStream, Event::kDisconnected, State::kConnect},
    {State::kStream, Event::kLapsed, State::kReattest},
};

// Next returns nullopt for an event that has no meaning in `state`: the loop reports it and stays.
constexpr std::optional<State> Next(State state, Event event) {
  for (const Edge& edge : kEdges)
    if (edge.from == state && edge.event == event) return edge.to;
  return std::nullopt;
}

constexpr bool Deterministic() {
  for (const Edge& a : kEdges)
    for (const Edge& b : kEdges)
      if (&a != &b && a.from == b.from && a.event == b.event) return false;
  return true;
}

constexpr std::string_view StateName(State state) {
  constexpr std::array<std::string_view, 4> kNames{"enrol", "reattest", "connect", "stream"};
  return kNames[static_cast<size_t>(state)];
}
constexpr std::string_view EventName(Event event) {
  constexpr std::array<std::string_view, 9> kNames{"admitted",    "pending",    "refused",
                                                   "unreachable", "connected",  "disconnected",
                                                   "renewed",     "switch-due", "lapsed"};
  return kNames[static_cast<size_t>(event)];
}

static_assert(Deterministic());
static_assert(Next(State::kConnect, Event::kLapsed) == State::kReattest);
static_assert(Next(State::kStream, Event::kRefused) == State::kReattest);
static_assert(!Next(State::kEnrol, Event::kConnected).has_value());

// DescribeMachine writes the table as Markdown; docs/protocol.md holds its output and a test
// compares.
std::string DescribeMachine();

}  // namespace sallyport::device
