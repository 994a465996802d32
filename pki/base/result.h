// Result<T>: errors as values, spelled like std::expected so that it can be replaced by it later.
// Exceptions of ours never cross a function; third-party ones are caught where they arise.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace sallyport {

// Reason is the closed set of failure kinds that programs act on. Mapped once to a gRPC status
// (service/status.cc) and once to an exit code (cli/exit_code.cc), both without `default`.
enum class Reason : uint8_t {
  kMalformed,     // bytes or text do not parse
  kTooLarge,      // a named limit was exceeded
  kBadSignature,  // a signature, MAC or proof did not verify
  kStaleNonce,    // freshness not shown: nonce, ticket or challenge
  kReplayed,      // single-use thing used before
  kRollback,      // a number that only rises fell
  kExpired,       // past its end, or not yet valid
  kUntrusted,     // chain, role or issuer does not lead to an accepted anchor
  kMismatch,      // two statements that must agree do not
  kPolicyDenied,  // understood, authentic, and not allowed
  kNotFound,
  kAlreadyExists,
  kConflict,  // state changed under the caller: try again
  kUnauthenticated,
  kRateLimited,
  kUnsupported,  // unknown version, feature or algorithm
  kNoSpace,
  kInvalidArgument,  // the caller's usage is wrong
  kUnavailable,      // a peer, file or device cannot be reached now
  kInternal,
};

// ReasonName returns the kebab-case name that appears in JSON, logs and metrics.
constexpr std::string_view ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kMalformed: return "malformed";
    case Reason::kTooLarge: return "too-large";
    case Reason::kBadSignature: return "bad-signature";
    case Reason::kStaleNonce: return "stale-nonce";
    case Reason::kReplayed: return "replayed";
    case Reason::kRollback: return "rollback";
    case Reason::kExpired: return "expired";
    case Reason::kUntrusted: return "untrusted";
    case Reason::kMismatch: return "mismatch";
    case Reason::kPolicyDenied: return "policy-denied";
    case Reason::kNotFound: return "not-found";
    case Reason::kAlreadyExists: return "already-exists";
    case Reason::kConflict: return "conflict";
    case Reason::kUnauthenticated: return "unauthenticated";
    case Reason::kRateLimited: return "rate-limited";
    case Reason::kUnsupported: return "unsupported";
    case Reason::kNoSpace: return "no-space";
    case Reason::kInvalidArgument: return "invalid-argument";
    case Reason::kUnavailable: return "unavailable";
    case Reason::kInternal: return "internal";
  }
  std::abort();
}

// Error is a refusal. `rule` names the exact check that failed (kebab-case or dotted, static
// storage, e.g. "ticket-spent", "quote.magic"); `detail` is for people, lower case, no final
// period, never parsed and never asserted on, and holds no secret.
struct Error {
  Reason reason;
  std::string detail;
  std::string_view rule = {};

  std::string_view name() const { return rule.empty() ? ReasonName(reason) : rule; }
  std::string ToString() const { return std::string(name()) + ": " + detail; }
  // WithContext prefixes `detail`; reason and rule stay.
  Error WithContext(std::string_view context) && {
    detail = std::string(context) + ": " + detail;
    return std::move(*this);
  }
};

struct Unit {};

// Result<T> holds a T or an Error. Result<bool> does not compile: a verification answers what was
// proven, never yes or no.
template <typename T>
class [[nodiscard]] Result {
  static_assert(!std::is_same_v<T, bool>, "return what was proven, not yes or no");
  static_assert(!std::is_same_v<T, Error> && !std::is_reference_v<T>);

 public:
  using value_type = T;
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T& value() & {
    if (!has_value()) Die(error());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    if (!has_value()) Die(error());
    return *std::get_if<0>(&state_);
  }
  T&& value() && { return std::move(static_cast<Result&>(*this).value()); }
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  [[noreturn]] static void Die(const Error& error) {
    std::fprintf(stderr, "value of a failed Result taken: %s\n", error.ToString().c_str());
    std::abort();
  }
  std::variant<T, Error> state_;
};

inline Result<Unit> Ok() { return Unit{}; }

}  // namespace sallyport

#define SP_CONCAT_INNER(a, b) a##b
#define SP_CONCAT(a, b) SP_CONCAT_INNER(a, b)

// SP_TRY(declaration, expression): returns the error of `expression`, or binds its value.
// SP_TRY(expression) with one argument: returns the error, drops the value.
#define SP_TRY_BIND(declaration, expression)                   \
  auto SP_CONCAT(sp_result_, __LINE__) = (expression);         \
  if (!SP_CONCAT(sp_result_, __LINE__).has_value())            \
    return std::move(SP_CONCAT(sp_result_, __LINE__)).error(); \
  declaration = *std::move(SP_CONCAT(sp_result_, __LINE__))
#define SP_TRY_DROP_AS(name, expression)                   \
  do {                                                     \
    auto name = (expression);                              \
    if (!name.has_value()) return std::move(name).error(); \
  } while (false)
#define SP_TRY_DROP(expression) SP_TRY_DROP_AS(SP_CONCAT(sp_dropped_, __COUNTER__), expression)
#define SP_TRY_PICK(one, two, name, ...) name
#define SP_TRY(...) SP_TRY_PICK(__VA_ARGS__, SP_TRY_BIND, SP_TRY_DROP, )(__VA_ARGS__)

// SP_CHECK aborts on a programmer's error; never use it on input.
#define SP_CHECK(condition)                                                              \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)
