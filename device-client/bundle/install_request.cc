#include "device-client/bundle/install_request.h"

namespace sallyport::device {
namespace {

constexpr uint64_t kFileBytesMax = 64 * 1024;  // a path and some words
constexpr std::string_view kRequestFormat = "install-request/v1";
constexpr std::string_view kAnswerFormat = "install-answer/v1";

std::string RequestPath(const std::string& state) { return state + "/install-request.json"; }
std::string AnswerPath(const std::string& state) { return state + "/install-answer.json"; }

Result<std::optional<JsonValue>> Load(FileSystem& files, const std::string& path,
                                      std::string_view format) {
  const Result<Bytes> bytes = ReadFile(files, path, kFileBytesMax);
  if (!bytes && bytes.error().reason == Reason::kNotFound) return std::optional<JsonValue>();
  if (!bytes) return bytes.error();
  SP_TRY(JsonValue json, ParseJson(AsText(*bytes)));
  const JsonCursor file(json);
  SP_TRY(const std::string_view found, file.GetString("sallyport"));
  if (found != format) return file.Refuse("another format", "bundle.request-format");
  return std::optional(std::move(json));
}

Result<Reason> ReasonOf(const JsonCursor& refusal) {
  SP_TRY(const std::string_view name, refusal.GetString("reason"));
  for (int i = 0; i <= static_cast<int>(Reason::kInternal); ++i)
    if (ReasonName(static_cast<Reason>(i)) == name) return static_cast<Reason>(i);
  return refusal.Refuse("unknown reason");
}

Result<std::optional<InstallAnswer::Refusal>> RefusalOf(const JsonCursor& file) {
  const std::optional<JsonCursor> error = file.Find("error");
  if (!error) return std::optional<InstallAnswer::Refusal>();
  SP_TRY(const Reason reason, ReasonOf(*error));
  SP_TRY(const std::string_view rule, error->GetString("rule"));
  SP_TRY(const std::string_view detail, error->GetString("detail"));
  return std::optional(InstallAnswer::Refusal{reason, std::string(rule), std::string(detail)});
}

Result<ReleaseDigest> DigestOf(const JsonCursor& file) {
  SP_TRY(const std::string_view hex, file.GetString("release"));
  SP_TRY(const Bytes bytes, HexDecode(hex));
  return ReleaseDigest::FromView(bytes);
}

}  // namespace

Result<std::optional<InstallRequest>> LoadRequest(FileSystem& files, const std::string& state) {
  SP_TRY(const std::optional<JsonValue> json, Load(files, RequestPath(state), kRequestFormat));
  if (!json) return std::optional<InstallRequest>();
  const JsonCursor file(*json);
  SP_TRY(file.OnlyKeys({"sallyport", "id", "folder", "role"}));
  InstallRequest out;
  SP_TRY(out.id, file.GetString("id"));
  SP_TRY(out.folder, file.GetString("folder"));
  SP_TRY(out.role, file.GetString("role"));
  return std::optional(std::move(out));
}

Result<Unit> SaveRequest(FileSystem& files, const std::string& state,
                         const InstallRequest& request) {
  const std::string json = WriteJson(JsonValue::Object({{"sallyport", kRequestFormat},
                                                        {"id", request.id},
                                                        {"folder", request.folder},
                                                        {"role", request.role}}));
  return WriteFileAtomically(files, RequestPath(state), AsBytes(json));
}

Result<Unit> RemoveRequest(FileSystem& files, const std::string& state) {
  SP_TRY(files.Remove(RequestPath(state)));
  return files.SyncDirectory(state);
}

Result<std::optional<InstallAnswer>> LoadAnswer(FileSystem& files, const std::string& state) {
  SP_TRY(const std::optional<JsonValue> json, Load(files, AnswerPath(state), kAnswerFormat));
  if (!json) return std::optional<InstallAnswer>();
  const JsonCursor file(*json);
  InstallAnswer out;
  SP_TRY(out.id, file.GetString("id"));
  SP_TRY(out.error, RefusalOf(file));
  SP_TRY(out.role, file.GetString("role"));
  SP_TRY(const int64_t serial, file.GetInteger("serial", 0));
  out.serial = static_cast<uint64_t>(serial);
  SP_TRY(out.product, file.GetString("product"));
  SP_TRY(out.version, file.GetString("version"));
  SP_TRY(out.release, DigestOf(file));
  SP_TRY(const JsonCursor::Flag local, file.GetBool("commits_locally"));
  out.commits_locally = local.value;
  SP_TRY(out.state, file.GetString("state"));
  SP_TRY(const int64_t percent, file.GetInteger("percent", 0, 100));
  out.percent = static_cast<unsigned>(percent);
  SP_TRY(out.gate, file.GetString("gate"));
  SP_TRY(out.detail, file.GetString("detail"));
  return std::optional(std::move(out));
}

Result<Unit> SaveAnswer(FileSystem& files, const std::string& state, const InstallAnswer& answer) {
  std::vector<JsonMember> members{{"sallyport", kAnswerFormat},
                                  {"id", answer.id},
                                  {"role", answer.role},
                                  {"serial", answer.serial},
                                  {"product", answer.product},
                                  {"version", answer.version},
                                  {"release", HexEncode(answer.release)},
                                  {"commits_locally", answer.commits_locally},
                                  {"state", answer.state},
                                  {"percent", uint64_t{answer.percent}},
                                  {"gate", answer.gate},
                                  {"detail", answer.detail}};
  if (answer.error)
    members.push_back({"error", JsonValue::Object({{"reason", ReasonName(answer.error->reason)},
                                                   {"rule", answer.error->rule},
                                                   {"detail", answer.error->detail}})});
  return WriteFileAtomically(files, AnswerPath(state),
                             AsBytes(WriteJson(JsonValue::Object(std::move(members)))));
}

}  // namespace sallyport::device
