#include "device-client/agent/agent_state.h"

#include "pki/base/json.h"

namespace sallyport::device {
namespace {

constexpr uint64_t kStateBytesMax = 4096;

std::string PathOf(const std::string& directory) { return directory + "/agent.json"; }

}  // namespace

Result<AgentState> LoadState(FileSystem& files, const std::string& directory) {
  const Result<Bytes> bytes = ReadFile(files, PathOf(directory), kStateBytesMax);
  if (!bytes && bytes.error().reason == Reason::kNotFound) return AgentState{};
  if (!bytes) return bytes.error();
  SP_TRY(const JsonValue json, ParseJson(AsText(*bytes)));
  const JsonCursor state(json);
  SP_TRY(state.OnlyKeys({"sallyport", "device_id", "epoch", "last_signed_time_ms"}));
  SP_TRY(const std::string_view version, state.GetString("sallyport"));
  if (version != "agent-state/v1") return state.Refuse("unknown version", "agent-state.version");
  SP_TRY(const std::string_view device_id, state.GetString("device_id"));
  SP_TRY(const int64_t epoch, state.GetInteger("epoch", 0));
  SP_TRY(const int64_t time_ms, state.GetInteger("last_signed_time_ms", 0));
  return AgentState{std::string(device_id), static_cast<uint64_t>(epoch), {time_ms}};
}

Result<Unit> SaveState(FileSystem& files, const std::string& directory, const AgentState& state) {
  const std::string json =
      WriteJson(JsonValue::Object({{"sallyport", "agent-state/v1"},
                                   {"device_id", state.device_id},
                                   {"epoch", state.epoch},
                                   {"last_signed_time_ms", state.last_signed_time.ms}}));
  SP_TRY(files.MakeDirectories(directory));
  return WriteFileAtomically(files, PathOf(directory), AsBytes(json));
}

}  // namespace sallyport::device
