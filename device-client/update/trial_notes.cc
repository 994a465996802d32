#include "device-client/update/trial_notes.h"

#include <algorithm>

#include "device-client/update/reboot_gate.h"
#include "pki/base/json.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr uint64_t kNoteBytesMax = 64 << 10;

}  // namespace

std::string WriteTrialNote(const TrialNote& note) {
  std::vector<JsonValue> past;
  for (const Duration& duration : note.past) past.emplace_back(duration.ms);
  return WriteJson(JsonValue::Object({{"release", note.release ? HexEncode(*note.release) : ""},
                                      {"version", note.version},
                                      {"gate", note.gate},
                                      {"detail", note.detail},
                                      {"log", note.log},
                                      {"origins", ota::OriginsJson(note.origins)},
                                      {"log_read", note.log_read},
                                      {"fallback_good", note.fallback_good},
                                      {"starts", note.starts},
                                      {"leaves", note.leaves},
                                      {"hook_due", note.hook_due},
                                      {"asked_ms", note.asked.ms},
                                      {"past_ms", JsonValue::Array(std::move(past))}}));
}

Result<TrialNote> ParseTrialNote(std::string_view text) {
  SP_TRY(const JsonValue parsed, ParseJson(text));
  const JsonCursor json(parsed);
  TrialNote note;
  SP_TRY(const std::string_view release, json.GetString("release"));
  if (!release.empty()) {
    SP_TRY(const Bytes bytes, HexDecode(release));
    SP_TRY(note.release, ReleaseDigest::FromView(bytes));
  }
  SP_TRY(note.version, json.GetString("version"));
  SP_TRY(note.gate, json.GetString("gate"));
  SP_TRY(note.detail, json.GetString("detail"));
  SP_TRY(note.log, json.GetString("log"));
  // Notes of older agents have none.
  if (const JsonValue* const origins = parsed.Find("origins")) {
    SP_TRY(note.origins, ota::ParseOrigins(JsonCursor(*origins)));
  }
  SP_TRY(const JsonCursor::Flag log_read, json.GetBool("log_read"));
  note.log_read = log_read.value;
  if (json.Find("fallback_good")) {  // notes of older agents have none of these
    SP_TRY(const JsonCursor::Flag good, json.GetBool("fallback_good"));
    note.fallback_good = good.value;
    SP_TRY(const int64_t leaves, json.GetInteger("leaves", 0, UINT16_MAX));
    note.leaves = static_cast<unsigned>(leaves);
    SP_TRY(note.hook_due, json.GetString("hook_due"));
  }
  SP_TRY(const int64_t starts, json.GetInteger("starts", 0, UINT16_MAX));
  note.starts = static_cast<unsigned>(starts);
  SP_TRY(note.asked.ms, json.GetInteger("asked_ms", 0));
  SP_TRY(const std::vector<JsonCursor> past, json.GetElements("past_ms"));
  for (const JsonCursor& element : past) {
    SP_TRY(const int64_t ms, element.Integer(0, Days(1).ms));
    if (note.past.size() < kPastUpdatesMax) note.past.push_back(Duration{ms});
  }
  return note;
}

TrialNote TrialNotes::Load() {
  const Result<Bytes> text = ReadFile(files_, path_, kNoteBytesMax);
  if (!text && text.error().reason == Reason::kNotFound) return {};
  Result<TrialNote> note = text ? ParseTrialNote(AsText(*text)) : Result<TrialNote>(text.error());
  if (note) return *std::move(note);
  Log(LogLevel::kWarning, "trial_note_lost", {{"reason", note.error().ToString()}});
  return {};
}

void TrialNotes::Save(const TrialNote& note) {
  const Result<Unit> saved = WriteFileAtomically(files_, path_, AsBytes(WriteTrialNote(note)));
  if (!saved)
    Log(LogLevel::kWarning, "trial_note_not_saved", {{"reason", saved.error().ToString()}});
}

}  // namespace sallyport::device
