#include "attestation-server/evidence/grammar_order.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kExitInvocation = "Exit Boot Services Invocation";
constexpr std::string_view kExitSuccess = "Exit Boot Services Returned with Success";
constexpr std::string_view kExitFailure = "Exit Boot Services Returned with Failure";

// Twice the boot options that firmware tries before it gives up. What a fall back left out is
// looked for once per attempt, so a log of thousands would cost minutes.
constexpr size_t kBootAttemptsMax = 32;

// PCR 0 is the firmware's own code: all of it runs before anything is booted.
class Pcr0Order : public PcrOrder {
 public:
  Fault Feed(const Event& event, bool before, size_t) override {
    if (before) return std::nullopt;
    return FaultAt(event, "grammar.order", "firmware measured after the separator");
  }
};

class Pcr4Order : public PcrOrder {
 public:
  explicit Pcr4Order(OrderContext& context) : context_(context) {}

  Fault Feed(const Event& event, bool before, size_t judged) override {
    if (event.type == EventType::kSeparator) return std::nullopt;
    if (event.type == EventType::kBootServicesApplication) return Application(event, before);
    const std::string_view action = AsText(event.data);
    if (action == kCallingBootOption) return Call(event, before, judged);
    if (action == kReturningBootOption && !before && running_) {
      running_ = false;
      attempts_.back().returned = true;
      return std::nullopt;
    }
    return FaultAt(event, "grammar.boot-option", "unexpected action");
  }

  Fault Finish(PcrGrammar& out) override {
    if (!running_ && !uncalled_)
      return Missing("grammar.boot-option", "no boot option was called last");
    out.attempts = std::move(attempts_);
    return std::nullopt;
  }

 private:
  Fault Application(const Event& event, bool before) {
    if (running_ && !before) ++attempts_.back().count;
    if (before || running_) return std::nullopt;
    if (attempts_.empty() && (uncalled_ || context_.Excuses(QuirkId::kBootOptionUnlogged))) {
      uncalled_ = true;
      return std::nullopt;
    }
    return FaultAt(event, "grammar.boot-option", "an application outside a boot option");
  }

  // The first call comes before the separator; after a refused slot the firmware returns and calls
  // again.
  Fault Call(const Event& event, bool before, size_t judged) {
    if (running_ || uncalled_ || before != attempts_.empty())
      return FaultAt(event, "grammar.boot-option", "unexpected call");
    if (attempts_.size() == kBootAttemptsMax)
      return FaultAt(event, "grammar.boot-option", "more boot options than any firmware tries");
    running_ = true;
    attempts_.push_back({judged, 0, false});
    return std::nullopt;
  }

  OrderContext& context_;
  std::vector<BootAttempt> attempts_;
  bool running_ = false;
  bool uncalled_ = false;
};

// Boot services are left once, as the last thing; a kernel may try again after a failure. What
// follows was added to the PCR by the system. A separator behind it is refused too: leaving comes
// after the separator.
class Pcr5Order : public PcrOrder {
 public:
  explicit Pcr5Order(OrderContext& context) : context_(context) {}

  Fault Feed(const Event& event, bool, size_t) override {
    if (state_ == State::kLeft)
      return FaultAt(event, "grammar.exit", "an event after the end of boot services");
    const std::string_view action = event.type == EventType::kEfiAction ? AsText(event.data) : "";
    const bool exit = action == kExitInvocation || action == kExitSuccess || action == kExitFailure;
    if (!exit && state_ == State::kIn) return std::nullopt;
    if (!exit || (action == kExitInvocation) != (state_ == State::kIn))
      return FaultAt(event, "grammar.exit", "boot services are not left like that");
    state_ = action == kExitInvocation ? State::kLeaving
             : action == kExitSuccess  ? State::kLeft
                                       : State::kIn;
    return std::nullopt;
  }

  Fault Finish(PcrGrammar&) override {
    if (state_ == State::kLeft) return std::nullopt;
    if (state_ == State::kIn && context_.Excuses(QuirkId::kExitUnlogged)) return std::nullopt;
    return Missing("grammar.exit", "boot services were never left: events may have been appended");
  }

 private:
  enum class State : uint8_t { kIn, kLeaving, kLeft };
  OrderContext& context_;
  State state_ = State::kIn;
};

}  // namespace

std::unique_ptr<PcrOrder> MakePcr0Order() { return std::make_unique<Pcr0Order>(); }
std::unique_ptr<PcrOrder> MakePcr4Order(OrderContext& context) {
  return std::make_unique<Pcr4Order>(context);
}
std::unique_ptr<PcrOrder> MakePcr5Order(OrderContext& context) {
  return std::make_unique<Pcr5Order>(context);
}

}  // namespace sallyport::server
