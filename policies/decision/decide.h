// Decide: may `from` open a connection to `to` for `service` now? The one decision function of the
// product, used by the server over its inventory and by devices over their slice (slice.h). Allow
// only; whatever is unknown, absent or unparsable is a no; the order of grants never matters. Pure;
// thread-safe.
//
//   allow(f,t,s,now)  <=>  f != t, both active, not revoked, not below their tier floor,
//                          and no `never` guardrail touches (f,t,s),
//                          and some enforced grant g has f in g.from, t in g.to, s within
//                          g.service,
//                              same site if asked, now in g.window, now < g.expires, within
//                              g.offline, f meets g.require_from, t meets g.require_to,
//                          and f meets each `must_require` guardrail that touches (f,t,s).
//   attested_within d <=>  attested_at is known, attested_at <= now + 30 s, now < attested_at + d.
#pragma once

#include <optional>
#include <string_view>

#include "policies/decision/compile.h"

namespace sallyport::policy {

// How far the clocks of server and device may differ.
inline constexpr Duration kClockSkew = Seconds(30);

// Party is one end of a connection, as proven: by its certificate on a device, by the store on the
// server.
struct Party {
  std::string_view id;
  Tier tier = Tier::kNone;
  std::optional<UnixTime> attested_at;  // absent: never
  std::optional<UnixTime> not_after;    // of its certificate, if that is how it was proven
  uint64_t epoch = 0;
};

// LeaseTerms bound what a decision may rest on away from the control plane; absent at the server.
struct LeaseTerms {
  UnixTime issued_at;    // of the slice
  UnixTime lease_until;  // of the slice
  UnixTime not_before;   // of the signed policy
  UnixTime expires;      // of the signed policy
};

struct Question {
  Party from;
  Party to;
  std::string_view service;
  UnixTime now;
  // Without a trusted clock every condition on time is false and only `offline: keep` grants work.
  bool clock_trusted = false;
  const LeaseTerms* lease = nullptr;  // borrowed
};

enum class Verdict : uint8_t { kDeny, kAllow };

// NearestMiss names the grant that lacked least, the condition it lacked, and whose.
struct NearestMiss {
  std::string_view grant;
  std::string_view failed;  // of kFailureNames
  std::string_view side;    // "from", "to" or empty
};

// Decision borrows from the policy it was made with.
struct Decision {
  Verdict verdict = Verdict::kDeny;
  std::string_view reason;  // "granted", or of kFailureNames
  std::string_view
      by;  // the grant that allows or the guardrail that denies; empty when nothing did
  std::optional<NearestMiss> nearest;
  std::optional<UnixTime>
      valid_until;  // allow only; absent: nothing in policy or certificates ends it
  LogChoice log = LogChoice::kDenied;
  std::string_view would_allow;  // audit grant that would have allowed
  std::string_view would_deny;   // audit guardrail that would have denied
  bool allowed() const { return verdict == Verdict::kAllow; }
};

// Decide prefers the grant that lasts longest, then the smallest id.
Decision Decide(const CompiledPolicy& policy, const Question& question);

// EverAllowed returns a grant that could allow (f, t, s) at some time in some posture, or an empty
// view.
std::string_view EverAllowed(const CompiledPolicy& policy, CompiledPolicy::Index from,
                             CompiledPolicy::Index to, CompiledPolicy::Index service);

}  // namespace sallyport::policy
