#include "device-client/status_file.h"

#include "pki/base/log.h"
#include "pki/base/printable.h"

namespace sallyport::device {
namespace {

constexpr std::chrono::milliseconds kLookEvery{500};

JsonValue ConnectionJson(const ConnectionInfo& connection) {
  return JsonValue::Object(
      {{"direction", connection.direction == Direction::kInbound ? "inbound" : "outbound"},
       {"peer", connection.peer},
       {"service", connection.service},
       {"grant", connection.grant},
       {"policy_version", connection.policy_version},
       {"valid_until", FormatRfc3339(connection.valid_until)},
       {"bytes_sent", connection.bytes_sent},
       {"bytes_received", connection.bytes_received}});
}

JsonValue RefusalJson(const Refusal& refusal) {
  return JsonValue::Object(
      {{"at", FormatRfc3339(refusal.at)},
       {"at_ms", refusal.at.ms},
       {"direction", refusal.direction == Direction::kInbound ? "inbound" : "outbound"},
       {"peer", refusal.peer},
       {"service", refusal.service},
       {"reason", refusal.reason},
       {"was_open", refusal.was_open}});
}

struct FloorName {
  std::string_view key;
  std::string_view words;
  uint64_t ota::ManifestFloors::* member;
};
constexpr FloorName kFloorNames[] = {
    {"rollback_index", "rollback index", &ota::ManifestFloors::rollback_index},
    {"image_root_version", "image root", &ota::ManifestFloors::image_root_version},
    {"image_targets_version", "image targets", &ota::ManifestFloors::image_targets_version},
    {"director_version", "director", &ota::ManifestFloors::director_version}};

std::string OrNone(std::string_view text) { return text.empty() ? "none" : std::string(text); }

Result<std::string> DescribeFloors(const JsonCursor& floors) {
  SP_TRY(const std::string_view state, floors.GetString("state"));
  SP_TRY(const std::string_view detail, floors.GetString("detail"));
  std::string out = "floors:   " + std::string(state);
  if (state != kFloorsHeld) return out + " (" + OrNone(detail) + ")";
  for (const FloorName& name : kFloorNames) {
    SP_TRY(const int64_t value, floors.GetInteger(name.key, 0));
    out += "\n  " + std::string(name.words) + " >= " + std::to_string(value);
  }
  return out;
}

// DescribeSources names those that have trouble; a status without slots has none.
std::string DescribeSources(const JsonValue& download) {
  std::string out;
  const JsonValue* const sources = download.Find("sources");
  if (sources == nullptr || sources->if_array() == nullptr) return out;
  for (const JsonValue& source : *sources->if_array()) {
    const JsonCursor cursor(source);
    const auto name = cursor.GetString("name");
    const auto refusal = cursor.GetString("refusal");
    if (name && refusal && !refusal->empty())
      out += "\nsource:   " + std::string(*name) + " (" + std::string(*refusal) + ")";
  }
  return out;
}

}  // namespace

JsonValue FloorsJson(const FloorStatus& status) {
  std::vector<JsonMember> members{{"state", status.state}, {"detail", status.detail}};
  if (status.state == kFloorsHeld)
    for (const FloorName& name : kFloorNames)
      members.push_back({std::string(name.key), status.floors.*name.member});
  return JsonValue::Object(std::move(members));
}

namespace {

JsonValue DeadlineJson(const UpdateView& update) {
  if (!update.report.install_by) return {};
  return JsonValue::Object({{"install_by", FormatRfc3339(*update.report.install_by)},
                            {"state", DeadlineName(update.deadline)}});
}

}  // namespace

JsonValue UpdateJson(const std::optional<UpdateView>& update) {
  if (!update) return {};
  const UpdateReport& report = update->report;
  std::vector<JsonValue> inhibitors;
  for (const Inhibitor& inhibitor : update->inhibitors)
    inhibitors.push_back(JsonValue::Object({{"who", inhibitor.who}, {"why", inhibitor.why}}));
  const auto window = [](const GateDecision& decision) {
    return JsonValue::Object({{"open", decision.open}, {"detail", decision.detail}});
  };
  return JsonValue::Object(
      {{"state", report.state},
       {"percent", report.percent},
       {"gate", report.gate},
       {"detail", PrintableLine(report.detail)},
       {"origins", report.origins.empty() ? JsonValue() : ota::OriginsJson(report.origins)},
       {"target", JsonValue::Object({{"release", report.release ? HexEncode(*report.release) : ""},
                                     {"slot", report.slot}})},
       {"degraded", report.degraded},
       {"deadline", DeadlineJson(*update)},
       {"inhibitors", JsonValue::Array(std::move(inhibitors))},
       {"windows", JsonValue::Object({{"install", window(update->install_window)},
                                      {"reboot", window(update->reboot_window)}})}});
}

namespace {

Result<std::string> DescribeWindow(const JsonCursor& windows, std::string_view name) {
  SP_TRY(const JsonCursor window, windows.Member(name));
  SP_TRY(const JsonCursor::Flag open, window.GetBool("open"));
  SP_TRY(const std::string_view detail, window.GetString("detail"));
  return "\n  " + std::string(name) + ": " + (open.value ? "open" : std::string(detail));
}

Result<std::string> DescribeDeadline(const JsonCursor& update) {
  SP_TRY(const JsonCursor deadline, update.Member("deadline"));
  if (deadline.value().kind() == JsonValue::Kind::kNull) return std::string();
  SP_TRY(const std::string_view install_by, deadline.GetString("install_by"));
  SP_TRY(const std::string_view state, deadline.GetString("state"));
  return "\n  deadline: " + std::string(install_by) + " (" + std::string(state) + ")";
}

Result<std::string> DescribeOrigins(const JsonCursor& update) {
  SP_TRY(const JsonCursor json, update.Member("origins"));
  if (json.value().kind() == JsonValue::Kind::kNull) return std::string();
  SP_TRY(const ota::ImageOrigins origins, ota::ParseOrigins(json));
  return "\n  written from: " + ota::OriginsText(origins);
}

Result<std::string> DescribeProgress(const JsonCursor& update) {
  if (update.value().kind() == JsonValue::Kind::kNull) return std::string("update:   none taken");
  SP_TRY(const std::string_view state, update.GetString("state"));
  SP_TRY(const int64_t percent, update.GetInteger("percent", 0));
  SP_TRY(const std::string_view gate, update.GetString("gate"));
  SP_TRY(const std::string_view detail, update.GetString("detail"));
  std::string out = "update:   " + OrNone(state) + " " + std::to_string(percent) + " %";
  if (!gate.empty()) out += ", gate " + std::string(gate);
  if (!detail.empty()) out += ": " + std::string(detail);
  SP_TRY(const JsonCursor::Flag degraded, update.GetBool("degraded"));
  if (degraded.value) out += "\n  degraded: installs nothing on its own";
  SP_TRY(const std::string deadline, DescribeDeadline(update));
  out += deadline;
  SP_TRY(const std::string origins, DescribeOrigins(update));
  out += origins;
  SP_TRY(const std::vector<JsonCursor> inhibitors, update.GetElements("inhibitors"));
  for (const JsonCursor& inhibitor : inhibitors) {
    SP_TRY(const std::string_view who, inhibitor.GetString("who"));
    SP_TRY(const std::string_view why, inhibitor.GetString("why"));
    out += "\n  inhibited by " + std::string(who) + ": " + OrNone(why);
  }
  SP_TRY(const JsonCursor windows, update.Member("windows"));
  for (const std::string_view name : {"install", "reboot"}) {
    SP_TRY(const std::string window, DescribeWindow(windows, name));
    out += window;
  }
  return out;
}

}  // namespace

Result<std::string> DescribeUpdate(std::string_view status, bool json) {
  SP_TRY(const JsonValue parsed, ParseJson(status));
  const JsonCursor cursor(parsed);
  SP_TRY(const std::string_view slot, cursor.GetString("slot"));
  SP_TRY(const std::string_view release, cursor.GetString("release"));
  SP_TRY(const int64_t manifest, cursor.GetInteger("manifest_version", 0));
  SP_TRY(const JsonCursor floors, cursor.Member("floors"));
  SP_TRY(const JsonCursor update, cursor.Member("update"));
  SP_TRY(const std::string progress, DescribeProgress(update));
  SP_TRY(const std::string described, DescribeFloors(floors));
  SP_TRY(const JsonCursor download, cursor.Member("download"));
  if (!json)
    return "slot:     " + std::string(slot) + "\nrelease:  " + OrNone(release) + "\n" + progress +
           "\nmanifest: " + std::to_string(manifest) + "\n" + described +
           DescribeSources(download.value());
  std::vector<JsonMember> members{{"slot", slot},
                                  {"release", release},
                                  {"manifest_version", manifest},
                                  {"floors", floors.value()},
                                  {"download", download.value()}};
  if (const std::vector<JsonMember>* const more = update.value().if_object())
    members.insert(members.end(), more->begin(), more->end());
  return WriteJson(JsonValue::Object(std::move(members)));
}

std::string DescribeAdoption(const Adoption& adoption, bool json) {
  std::vector<JsonMember> members{{"from", adoption.recorded ? "server" : "zero"}};
  std::string text = adoption.recorded ? "adopted, with the floors that the server recorded"
                                       : "adopted; the floors begin at zero";
  for (size_t i = 0; i < kFloorCounters; ++i) {
    const std::string name(pki::FloorCounterName(static_cast<FloorCounter>(i)));
    members.push_back({name, adoption.floors[i]});
    text += "\n  " + name + " >= " + std::to_string(adoption.floors[i]);
  }
  return json ? WriteJson(JsonValue::Object(std::move(members))) : text;
}

std::string ErrorJson(const Error& error) {
  return WriteJson(JsonValue::Object(
      {{"error", JsonValue::Object({{"reason", error.name()}, {"detail", error.detail}})}}));
}

std::string FloorsPath(const Config& config) { return config.state + "/floors.json"; }

std::string StatusPath(const Config& config) { return config.state + "/status.json"; }

std::string StatusJson(const ClientStatus& status, Duties& duties) {
  std::vector<JsonValue> connections;
  for (const ConnectionInfo& connection : duties.Connections())
    connections.push_back(ConnectionJson(connection));
  std::vector<JsonValue> refusals;
  for (const Refusal& refusal : duties.Refusals()) refusals.push_back(RefusalJson(refusal));
  const BootClaim boot = duties.Boot();
  return WriteJson(JsonValue::Object({{"state", StateName(status.state)},
                                      {"device_id", status.device_id},
                                      {"posture", status.posture},
                                      {"tier", status.tier},
                                      {"not_after", FormatRfc3339(status.not_after)},
                                      {"epoch", status.epoch},
                                      {"renewals", status.renewals},
                                      {"refusal", status.last_refusal},
                                      {"slot", pki::BootSlotName(boot.slot)},
                                      {"release", boot.release ? HexEncode(*boot.release) : ""},
                                      {"manifest_version", duties.HeldManifestVersion()},
                                      {"floors", FloorsJson(duties.Floors())},
                                      {"update", UpdateJson(duties.Update())},
                                      {"download", duties.Download()},
                                      {"connections", JsonValue::Array(std::move(connections))},
                                      {"refusals", JsonValue::Array(std::move(refusals))}}));
}

StatusWriter::StatusWriter(FileSystem& files, std::string path, const Client& client,
                           Duties& duties)
    : files_(files), path_(std::move(path)), client_(client), duties_(duties), thread_([this] {
        Run();
      }) {}

StatusWriter::~StatusWriter() {
  {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
    stop_changed_.notify_all();
  }
  thread_.join();
}

void StatusWriter::Run() {
  std::string written;
  std::string tried;  // what cannot be written is tried again, and complained of once
  std::unique_lock lock(stop_mutex_);
  while (!stopping_) {
    std::string now = StatusJson(client_.status(), duties_);
    if (now != written) {
      const Result<Unit> done = WriteFileAtomically(files_, path_, AsBytes(now));
      if (done) written = now;
      if (!done && now != tried)
        Log(LogLevel::kWarning, "status_not_written", {{"reason", done.error().ToString()}});
      tried = std::move(now);
    }
    stop_changed_.wait_for(lock, kLookEvery, [this] { return stopping_; });
  }
}

}  // namespace sallyport::device
