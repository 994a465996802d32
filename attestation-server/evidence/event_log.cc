#include "attestation-server/evidence/event_log.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kSpecIdSignature{"Spec ID Event03\0", 16};
constexpr std::string_view kLocalitySignature{"StartupLocality\0", 16};
constexpr uint8_t kSpecVersionMajor = 2;
constexpr size_t kSha1Size = 20;

Error Refuse(Reason reason, std::string_view rule, std::string detail) {
  return Error{reason, std::move(detail), rule};
}
Error Malformed(std::string_view rule, std::string detail) {
  return Refuse(Reason::kMalformed, rule, std::move(detail));
}

bool StartsWith(ByteView data, std::string_view prefix) { return AsText(data).starts_with(prefix); }

std::optional<Bank> BankById(uint16_t id) {
  for (const Bank bank : kBanks)
    if (static_cast<uint16_t>(bank) == id) return bank;
  return std::nullopt;
}

struct Algorithm {
  uint16_t id;
  size_t size;
};

// Reader is ByteReader whose truncations carry the rule of this parser.
class Reader {
 public:
  explicit Reader(ByteView bytes) : reader_(bytes, "event log") {}
  Result<uint8_t> U8() { return Named(reader_.U8()); }
  Result<uint16_t> U16() { return Named(reader_.LittleU16()); }
  Result<uint32_t> U32() { return Named(reader_.LittleU32()); }
  Result<ByteView> Take(size_t size) { return Named(reader_.Take(size)); }
  ByteView rest() const { return reader_.rest(); }

 private:
  template <typename T>
  static Result<T> Named(Result<T> result) {
    if (!result) return Malformed("log.truncated", std::move(result).error().detail);
    return result;
  }
  ByteReader reader_;
};

class Parser {
 public:
  explicit Parser(ByteView bytes) : reader_(bytes) {}

  Result<EventLog> Parse() {
    SP_TRY(ParseFirst());
    while (!reader_.rest().empty()) {
      if (IsPadding(reader_.rest()))
        return Malformed("cc-log", "confidential-computing log table, not a tpm log");
      SP_TRY(agile_ ? ParseAgileEvent() : ParseLegacyEvent());
    }
    log_.format = agile_ ? LogFormat::kCryptoAgile : LogFormat::kSha1Legacy;
    return std::move(log_);
  }

 private:
  // Tables of the ACPI CCEL kind are padded with 0xFF to the size of their area.
  static bool IsPadding(ByteView rest) {
    return rest.size() >= 12 &&
           std::ranges::all_of(rest, [](uint8_t byte) { return byte == 0xFF; });
  }

  // The first event has the SHA-1 form in both formats; its content says which one follows.
  Result<Unit> ParseFirst() {
    log_.banks = {Bank::kSha1};
    SP_TRY(ParseLegacyEvent());
    Event& first = log_.events.front();
    if (first.type != EventType::kNoAction || !StartsWith(first.data, kSpecIdSignature))
      return Ok();
    agile_ = true;
    log_.banks.clear();
    first.digests = {};
    if (first.pcr != 0) return Malformed("log.header", "spec id event is not in pcr 0");
    return ParseSpecId(first.data.subspan(kSpecIdSignature.size()));
  }

  Result<Unit> ParseSpecId(ByteView body) {
    Reader header(body);
    SP_TRY(const uint32_t platform_class, header.U32());
    SP_TRY(const uint8_t minor, header.U8());
    SP_TRY(const uint8_t major, header.U8());
    SP_TRY(header.Take(2));  // errata and the size of UINTN: no rule depends on them
    static_cast<void>(platform_class);
    if (major != kSpecVersionMajor || minor != 0)
      return Malformed("log.header",
                       "spec version " + std::to_string(major) + "." + std::to_string(minor));
    SP_TRY(const uint32_t count, header.U32());
    if (count == 0 || count > kLogAlgorithmsMax)
      return Malformed("log.algorithms", std::to_string(count) + " algorithms");
    for (uint32_t i = 0; i < count; ++i) SP_TRY(ParseAlgorithm(header));
    SP_TRY(const uint8_t vendor_size, header.U8());
    if (header.rest().size() != vendor_size)
      return Malformed("log.header", "size of the vendor information");
    return Ok();
  }

  Result<Unit> ParseAlgorithm(Reader& header) {
    SP_TRY(const uint16_t id, header.U16());
    SP_TRY(const uint16_t size, header.U16());
    const std::optional<Bank> bank = BankById(id);
    if (size == 0 || size > kLogDigestBytesMax || (bank && size != BankDigestSize(*bank)))
      return Malformed("log.algorithms", "digest size " + std::to_string(size) + " of algorithm " +
                                             std::to_string(id));
    if (std::ranges::find(algorithms_, id, &Algorithm::id) != algorithms_.end())
      return Malformed("log.algorithms", "algorithm " + std::to_string(id) + " declared twice");
    algorithms_.push_back({id, size});
    if (bank) log_.banks.push_back(*bank);
    return Ok();
  }

  Result<Event> BeginEvent() {
    if (log_.events.size() == kLogEventsMax)
      return Refuse(Reason::kTooLarge, "log.too-large",
                    "more than " + std::to_string(kLogEventsMax) + " events");
    SP_TRY(const uint32_t pcr, reader_.U32());
    SP_TRY(const uint32_t type, reader_.U32());
    return Event{
        static_cast<uint32_t>(log_.events.size()), pcr, static_cast<EventType>(type), {}, {}};
  }

  Result<Unit> ParseLegacyEvent() {
    SP_TRY(Event event, BeginEvent());
    SP_TRY(event.digests[BankIndex(Bank::kSha1)], reader_.Take(kSha1Size));
    return FinishEvent(event);
  }

  Result<Unit> ParseAgileEvent() {
    SP_TRY(Event event, BeginEvent());
    SP_TRY(const uint32_t count, reader_.U32());
    if (count == 0 || count > algorithms_.size())
      return Malformed("log.digests", At(event) + std::to_string(count) + " digests");
    if (count != algorithms_.size()) log_.uniform = false;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < count; ++i) SP_TRY(ParseDigest(event, seen));
    return FinishEvent(event);
  }

  Result<Unit> ParseDigest(Event& event, uint32_t& seen) {
    SP_TRY(const uint16_t id, reader_.U16());
    const auto found = std::ranges::find(algorithms_, id, &Algorithm::id);
    if (found == algorithms_.end())
      return Malformed("log.digests", At(event) + "undeclared algorithm " + std::to_string(id));
    const uint32_t bit = 1u << (found - algorithms_.begin());
    if ((seen & bit) != 0)
      return Malformed("log.digests", At(event) + "algorithm " + std::to_string(id) + " twice");
    seen |= bit;
    SP_TRY(const ByteView digest, reader_.Take(found->size));
    if (const std::optional<Bank> bank = BankById(id)) event.digests[BankIndex(*bank)] = digest;
    return Ok();
  }

  Result<Unit> FinishEvent(Event& event) {
    SP_TRY(const uint32_t size, reader_.U32());
    if (size > kEventDataBytesMax)
      return Refuse(Reason::kTooLarge, "log.too-large",
                    At(event) + std::to_string(size) + " bytes of data");
    SP_TRY(event.data, reader_.Take(size));
    if (event.type == EventType::kNoAction) {
      SP_TRY(NoteLocality(event));
    } else if (event.pcr >= kPcrCount) {
      return Malformed("log.pcr-index", At(event) + "pcr " + std::to_string(event.pcr));
    } else if (event.pcr == 0) {
      pcr0_extended_ = true;
    }
    log_.events.push_back(event);
    return Ok();
  }

  Result<Unit> NoteLocality(const Event& event) {
    if (!StartsWith(event.data, kLocalitySignature)) return Ok();
    const bool well_formed = event.pcr == 0 && event.data.size() == kLocalitySignature.size() + 1;
    if (!well_formed || pcr0_extended_ || log_.startup_locality)
      return Malformed("log.startup-locality", At(event) + "misplaced or malformed");
    const uint8_t locality = event.data.back();
    if (locality != 0 && locality != 3 && locality != 4)
      return Malformed("log.startup-locality", At(event) + "locality " + std::to_string(locality));
    log_.startup_locality = locality;
    return Ok();
  }

  static std::string At(const Event& event) {
    return "event " + std::to_string(event.index) + ": ";
  }

  Reader reader_;
  EventLog log_{};
  std::vector<Algorithm> algorithms_;
  bool agile_ = false;
  bool pcr0_extended_ = false;
};

}  // namespace

std::optional<Bank> BankFromName(std::string_view name) {
  for (const Bank bank : kBanks)
    if (BankName(bank) == name) return bank;
  return std::nullopt;
}

bool EventLog::Carries(Bank bank) const { return std::ranges::find(banks, bank) != banks.end(); }

Result<EventLog> ParseEventLog(ByteView bytes) {
  if (bytes.size() > kLogBytesMax)
    return Refuse(Reason::kTooLarge, "log.too-large", std::to_string(bytes.size()) + " bytes");
  return Parser(bytes).Parse();
}

}  // namespace sallyport::server
