#include "device-client/agent/time_record.h"

#include "pki/base/json.h"

namespace sallyport::device {
namespace {

constexpr uint64_t kRecordBytesMax = 4096;

std::string PathOf(const std::string& directory) { return directory + "/trusted-time.json"; }

}  // namespace

UnixTime EstimateTime(const TimeRecord& record, const pki::ClockInfo& now) {
  if (now.reset_count < record.reset_count || now.clock_ms < record.clock_ms)
    return record.signed_time;
  const uint64_t ran_ms = now.clock_ms - record.clock_ms;
  const int64_t room_ms = INT64_MAX - record.signed_time.ms;
  if (ran_ms > static_cast<uint64_t>(room_ms)) return record.signed_time;
  return record.signed_time + Milliseconds(static_cast<int64_t>(ran_ms));
}

Result<std::optional<TimeRecord>> LoadTimeRecord(FileSystem& files, const std::string& directory) {
  const Result<Bytes> bytes = ReadFile(files, PathOf(directory), kRecordBytesMax);
  if (!bytes && bytes.error().reason == Reason::kNotFound) return std::optional<TimeRecord>();
  if (!bytes) return bytes.error();
  SP_TRY(const JsonValue json, ParseJson(AsText(*bytes)));
  const JsonCursor file(json);
  SP_TRY(file.OnlyKeys({"sallyport", "signed_time_ms", "tpm_clock_ms", "tpm_reset_count"}));
  SP_TRY(const std::string_view version, file.GetString("sallyport"));
  if (version != "trusted-time/v1") return file.Refuse("unknown version", "time.record-version");
  SP_TRY(const int64_t signed_ms, file.GetInteger("signed_time_ms", 0));
  SP_TRY(const int64_t clock_ms, file.GetInteger("tpm_clock_ms", 0));
  SP_TRY(const int64_t resets, file.GetInteger("tpm_reset_count", 0, UINT32_MAX));
  return std::optional(
      TimeRecord{{signed_ms}, static_cast<uint64_t>(clock_ms), static_cast<uint32_t>(resets)});
}

Result<Unit> SaveTimeRecord(FileSystem& files, const std::string& directory,
                            const TimeRecord& record) {
  const std::string json =
      WriteJson(JsonValue::Object({{"sallyport", "trusted-time/v1"},
                                   {"signed_time_ms", record.signed_time.ms},
                                   {"tpm_clock_ms", record.clock_ms},
                                   {"tpm_reset_count", uint64_t{record.reset_count}}}));
  SP_TRY(files.MakeDirectories(directory));
  return WriteFileAtomically(files, PathOf(directory), AsBytes(json));
}

}  // namespace sallyport::device
