// Internal to the grammar: the order of the events of one PCR, fed event by event after the rules
// that hold in every PCR. One thread at a time.
#pragma once

#include <map>
#include <memory>

#include "attestation-server/evidence/event_data.h"
#include "attestation-server/evidence/grammar.h"

namespace sallyport::server {

using Fault = std::optional<GrammarFault>;

inline Fault FaultAt(const Event& event, std::string_view rule, std::string detail) {
  return GrammarFault{rule, &event, std::move(detail)};
}
inline Fault Missing(std::string_view rule, std::string detail) {
  return GrammarFault{rule, nullptr, std::move(detail)};
}

// OrderContext is the log an order is checked in, and collects the quirks that were needed.
class OrderContext {
 public:
  OrderContext(Bank bank, const std::optional<std::string>& firmware)
      : bank_(bank), firmware_(firmware) {}
  Bank bank() const { return bank_; }
  // Excuses: whether a quirk of this firmware covers `id`; it is then applied.
  bool Excuses(QuirkId id);
  std::vector<const Quirk*> TakeQuirks() { return std::move(applied_); }

 private:
  Bank bank_;
  const std::optional<std::string>& firmware_;
  std::vector<const Quirk*> applied_;
};

// PcrOrder accepts any order. Feed: `before` means before the separator; `judged` is the number of
// judged events so far. Finish is called after the last event and fills in what the order found.
class PcrOrder {
 public:
  virtual ~PcrOrder() = default;
  virtual Fault Feed(const Event&, bool /*before*/, size_t /*judged*/) { return std::nullopt; }
  virtual Fault Finish(PcrGrammar&) { return std::nullopt; }
};

// `context` is borrowed.
std::unique_ptr<PcrOrder> MakePcr0Order();
std::unique_ptr<PcrOrder> MakePcr4Order(OrderContext& context);
std::unique_ptr<PcrOrder> MakePcr5Order(OrderContext& context);
std::unique_ptr<PcrOrder> MakePcr7Order();
// PCR 8, 9, 11 and 14: boot loaders, kernel and stub.
std::unique_ptr<PcrOrder> MakeLoaderOrder(uint32_t pcr, OrderContext& context);

}  // namespace sallyport::server
