#include "attestation-server/enrolment/refusals.h"

#include "pki/base/json.h"
#include "pki/base/log.h"

namespace sallyport::server {

namespace {

// IsOurs: the caller did nothing wrong, the server cannot answer now.
bool IsOurs(Reason reason) {
  return reason == Reason::kNoSpace || reason == Reason::kUnavailable ||
         reason == Reason::kInternal || reason == Reason::kConflict;
}

// An audit detail is text of ours about a stranger's bytes; its length is ours to bound.
constexpr size_t kDetailMax = 512;

}  // namespace

std::string Refusals::NewReferenceId() { return HexEncode(random_.Next<TicketId>()); }

Refusal Refusals::Make(const Error& error, RefusalCase about, UnixTime now, Duration retry_after) {
  if (about.reference_id.empty()) about.reference_id = NewReferenceId();
  if (!about.audited && retry_after.ms == 0) Audit(error, about, now);
  Refusal out;
  out.reference_id = about.reference_id;
  out.retry_after = retry_after;
  out.unavailable = IsOurs(error.reason);
  if (!about.ak_verified || out.unavailable) return out;
  out.rule = error.name();
  out.detail = error.detail;
  out.events = std::move(about.events);
  return out;
}

void Refusals::Audit(const Error& error, const RefusalCase& about, UnixTime now) {
  if (!about.ak_verified && strangers_.Spend("strangers", now).ms > 0) {
    ++*unaudited_;
    return;
  }
  Log(LogLevel::kInfo, "not_admitted",
      {{"reference", about.reference_id},
       {"rule", std::string(error.name())},
       {"device", about.device_id}});
  JsonValue record = JsonValue::Object({{"at", FormatRfc3339(now)},
                                        {"reference", about.reference_id},
                                        {"purpose", about.purpose},
                                        {"source", about.source},
                                        {"device", about.device_id},
                                        {"rule", std::string(error.name())},
                                        {"detail", error.detail.substr(0, kDetailMax)},
                                        {"events", JsonValue::Strings(about.events)}});
  database_.writer().Submit(
      [record = std::move(record)](Transaction& transaction) -> Result<Unit> {
        SP_TRY(transaction.Audit("not-admitted", record));
        return Unit{};
      },
      [unaudited = unaudited_](const Result<Unit>& done) {
        if (!done.has_value()) ++*unaudited;
      });
}

}  // namespace sallyport::server
