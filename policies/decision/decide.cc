#include "policies/decision/decide.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "policies/decision/window.h"

namespace sallyport::policy {
namespace {

using Index = CompiledPolicy::Index;

constexpr UnixTime kNoEnd{std::numeric_limits<int64_t>::max()};

void Shorten(UnixTime& end, UnixTime limit) { end = std::min(end, limit); }

// ForEachCommonBit calls `visit(i)` for each bit set in all three rows until it returns false.
template <typename Visit>
void ForEachCommonBit(const uint64_t* a, const uint64_t* b, const uint64_t* c, size_t words,
                      Visit visit) {
  for (size_t w = 0; w < words; ++w) {
    for (uint64_t bits = a[w] & b[w] & c[w]; bits != 0; bits &= bits - 1) {
      if (!visit(w * 64 + static_cast<size_t>(std::countr_zero(bits)))) return;
    }
  }
}

// Check accumulates the conditions of one grant: how many failed, the first that did, and how long
// the rest holds.
struct Check {
  int failures = 0;
  std::string_view failed;
  std::string_view side;
  UnixTime end = kNoEnd;
  void Require(bool holds, std::string_view name, std::string_view of = {}) {
    if (!holds && failures++ == 0) {
      failed = name;
      side = of;
    }
  }
};

bool Fresh(const Party& party, Duration within, const Question& q) {
  return q.clock_trusted && party.attested_at && *party.attested_at <= q.now + kClockSkew &&
         q.now < *party.attested_at + within;
}

void RequirePosture(Check& check, const Requirement& need, const Party& party, DeviceState state,
                    const Question& q, std::string_view side) {
  if (need.state) check.Require(state == *need.state, "state", side);
  if (need.min_tier) check.Require(party.tier >= *need.min_tier, "min_tier", side);
  if (!need.attested_within) return;
  check.Require(Fresh(party, *need.attested_within, q), "attested_within", side);
  if (party.attested_at) Shorten(check.end, *party.attested_at + *need.attested_within);
}

// OfflineEnd is when a grant stops without news from the control plane. Nothing stops before the
// lease does.
UnixTime OfflineEnd(const Offline& offline, const LeaseTerms& lease) {
  switch (offline.kind) {
    case Offline::Kind::kLease:
    case Offline::Kind::kDeny: return lease.lease_until;
    case Offline::Kind::kDuration:
      return std::max(lease.lease_until, lease.issued_at + offline.duration);
    case Offline::Kind::kKeep: return kNoEnd;
  }
  std::abort();
}

void RequireLease(Check& check, const Offline& offline, const Question& q) {
  const bool keep = offline.kind == Offline::Kind::kKeep;
  if (!q.clock_trusted) {
    check.Require(keep, "offline");
    return;
  }
  if (!q.lease) return;
  const UnixTime end = std::min(OfflineEnd(offline, *q.lease), q.lease->expires);
  check.Require(q.lease->not_before <= q.now && q.now < end, "offline");
  Shorten(check.end, end);
}

// Judge decides one question; a class because every step needs the same five things.
class Judge {
 public:
  Judge(const CompiledPolicy& policy, const Question& q) : policy_(policy), q_(q) {}

  Decision Run() {
    if (!Resolve() || !CheckParties() || HitsNever()) return decision_;
    TryGrants();
    if (decision_.allowed()) {
      CheckMustRequire();
    } else {
      FindNearest();
    }
    return decision_;
  }

 private:
  Decision& Deny(std::string_view reason) {
    decision_ = Decision{};
    decision_.reason = reason;
    return decision_;
  }
  bool Refuse(std::string_view reason) {
    Deny(reason);
    return false;
  }

  bool Resolve() {
    const auto from = policy_.FindDevice(q_.from.id);
    const auto to = policy_.FindDevice(q_.to.id);
    const auto service = policy_.FindService(q_.service);
    if (!from || !to) return Refuse("unknown-device");
    if (!service) return Refuse("unknown-service");
    from_ = &policy_.device(*from);
    to_ = &policy_.device(*to);
    service_ = *service;
    if (*from == *to) return Refuse("self");
    return true;
  }

  bool CheckParties() {
    for (const auto& [party, device] : {std::pair(&q_.from, from_), std::pair(&q_.to, to_)}) {
      if (device->state != DeviceState::kActive) return Refuse("state");
      if (party->epoch < device->min_epoch) return Refuse("epoch");
      if (party->tier < device->tier) return Refuse("tier");
    }
    return true;
  }

  template <typename Visit>
  void ForEachGuardrail(Visit visit) const {
    ForEachCommonBit(policy_.guardrail_from().row(from_->device_class),
                     policy_.guardrail_to().row(to_->device_class),
                     policy_.guardrail_service().row(service_), policy_.guardrail_from().words(),
                     [&](size_t i) { return visit(policy_.guardrails()[i]); });
  }

  bool HitsNever() {
    std::string_view hit, would;
    ForEachGuardrail([&](const GuardrailRule& rule) {
      if (rule.must_require) return true;
      std::string_view& first = rule.mode == Mode::kEnforce ? hit : would;
      if (first.empty()) first = rule.id;
      return hit.empty();
    });
    would_deny_ = would;
    if (hit.empty()) return false;
    Deny("guardrail").by = hit;
    return true;
  }

  Check CheckGrant(const GrantRule& grant) const {
    Check check;
    if (grant.same_site) check.Require(from_->site == to_->site, "same");
    RequirePosture(check, grant.require_from, q_.from, from_->state, q_, "from");
    RequirePosture(check, grant.require_to, q_.to, to_->state, q_, "to");
    if (grant.window) {
      const auto until = q_.clock_trusted ? OpenUntil(*grant.window, q_.now) : std::nullopt;
      check.Require(until.has_value(), "window");
      if (until) Shorten(check.end, *until);
    }
    if (grant.expires) {
      check.Require(q_.clock_trusted && q_.now < *grant.expires, "expires");
      Shorten(check.end, *grant.expires);
    }
    RequireLease(check, grant.offline, q_);
    for (const Party* party : {&q_.from, &q_.to})
      if (party->not_after) Shorten(check.end, *party->not_after);
    return check;
  }

  void TryGrants() {
    Deny("no-grant").would_deny = would_deny_;
    UnixTime best_end{};
    ForEachCommonBit(
        policy_.grant_from().row(from_->device_class), policy_.grant_to().row(to_->device_class),
        policy_.grant_service().row(service_), policy_.grant_from().words(), [&](size_t i) {
          const GrantRule& grant = policy_.grants()[i];
          Check check = CheckGrant(grant);
          if (check.failures == 0 && grant.mode == Mode::kAudit && decision_.would_allow.empty())
            decision_.would_allow = grant.id;
          check.Require(grant.mode == Mode::kEnforce, "mode");
          if (check.failures > 0) {
            Consider(grant, check);
          } else if (!decision_.allowed() || check.end > best_end) {
            Allow(grant);
            best_end = check.end;
          }
          return true;
        });
    if (decision_.allowed() && best_end != kNoEnd) decision_.valid_until = best_end;
    if (decision_.allowed()) decision_.nearest.reset();
  }

  void Allow(const GrantRule& grant) {
    decision_.verdict = Verdict::kAllow;
    decision_.reason = "granted";
    decision_.by = grant.id;
    decision_.log = grant.log;
  }

  void Consider(const GrantRule& grant, const Check& check) {
    if (decision_.nearest && fewest_failures_ <= check.failures) return;
    fewest_failures_ = check.failures;
    decision_.nearest = NearestMiss{grant.id, check.failed, check.side};
  }

  void CheckMustRequire() {
    ForEachGuardrail([&](const GuardrailRule& rule) {
      if (!rule.must_require) return true;
      Check check;
      RequirePosture(check, *rule.must_require, q_.from, from_->state, q_, "from");
      if (rule.mode == Mode::kAudit) {
        if (check.failures > 0 && decision_.would_deny.empty()) decision_.would_deny = rule.id;
        return true;
      }
      if (check.failures > 0) {
        Deny("guardrail").by = rule.id;
        return false;
      }
      if (check.end != kNoEnd)
        decision_.valid_until = std::min(decision_.valid_until.value_or(kNoEnd), check.end);
      return true;
    });
  }

  // FindNearest looks, when no grant covers the triple, for one that misses a single part of it.
  void FindNearest() {
    if (decision_.nearest) return;
    const std::vector<uint64_t> ones(policy_.grant_from().words(), ~uint64_t{0});
    const uint64_t* from = policy_.grant_from().row(from_->device_class);
    const uint64_t* to = policy_.grant_to().row(to_->device_class);
    const uint64_t* service = policy_.grant_service().row(service_);
    const std::tuple<const uint64_t*, const uint64_t*, std::string_view> pairs[] = {
        {from, service, "to"}, {from, to, "service"}, {to, service, "from"}};
    for (const auto& [a, b, missing] : pairs) {
      ForEachCommonBit(a, b, ones.data(), ones.size(), [&](size_t i) {
        decision_.nearest = NearestMiss{policy_.grants()[i].id, missing, {}};
        return false;
      });
      if (decision_.nearest) return;
    }
  }

  const CompiledPolicy& policy_;
  const Question& q_;
  const CompiledPolicy::DeviceRow* from_ = nullptr;
  const CompiledPolicy::DeviceRow* to_ = nullptr;
  Index service_ = 0;
  Decision decision_;
  std::string_view would_deny_;
  int fewest_failures_ = 0;
};

}  // namespace

Decision Decide(const CompiledPolicy& policy, const Question& question) {
  return Judge(policy, question).Run();
}

std::string_view EverAllowed(const CompiledPolicy& policy, Index from, Index to, Index service) {
  const auto& f = policy.device(from);
  const auto& t = policy.device(to);
  bool forbidden = from == to;
  ForEachCommonBit(
      policy.guardrail_from().row(f.device_class), policy.guardrail_to().row(t.device_class),
      policy.guardrail_service().row(service), policy.guardrail_from().words(), [&](size_t i) {
        const GuardrailRule& rule = policy.guardrails()[i];
        forbidden = forbidden || (!rule.must_require && rule.mode == Mode::kEnforce);
        return !forbidden;
      });
  std::string_view found;
  if (forbidden) return found;
  ForEachCommonBit(policy.grant_from().row(f.device_class), policy.grant_to().row(t.device_class),
                   policy.grant_service().row(service), policy.grant_from().words(), [&](size_t i) {
                     const GrantRule& grant = policy.grants()[i];
                     if (grant.mode == Mode::kEnforce && (!grant.same_site || f.site == t.site))
                       found = grant.id;
                     return found.empty();
                   });
  return found;
}

}  // namespace sallyport::policy
