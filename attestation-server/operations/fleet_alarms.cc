#include "attestation-server/operations/fleet_alarms.h"

#include <algorithm>

namespace sallyport::server {
namespace {

constexpr Duration kRepeatEvery = Hours(24);
// Lines of one check, and names in `status`: when a site is cut off, the count says it.
constexpr size_t kNamedMax = 20;
constexpr FleetAlarm kAlarms[] = {FleetAlarm::kLagging, FleetAlarm::kSilent, FleetAlarm::kFloors};

std::string_view EventOf(FleetAlarm alarm) {
  switch (alarm) {
    case FleetAlarm::kLagging: return "device_lagging";
    case FleetAlarm::kSilent: return "device_silent";
    case FleetAlarm::kFloors: return "device_floors";
  }
  std::abort();
}

}  // namespace

struct FleetAlarms::Contact {
  std::string id;
  std::string name;
  std::string device_class;
  UnixTime last_seen;
  uint64_t manifest_version = 0;
  std::string finding;  // of its floors
};

std::optional<FleetAlarms::Raised> FleetAlarms::Judge(const Contact& device, UnixTime now) const {
  if (!device.finding.empty())
    return Raised{FleetAlarm::kFloors,
                  device.name,
                  device.finding + "; see: sallyport device show " + device.name,
                  {}};
  if (sources_.is_online(device.id)) {
    const std::optional<ManifestNews> news = sources_.news(device.id);
    const bool behind = news && (news->version == 0 || device.manifest_version < news->version);
    if (!behind || now - news->since < terms_.lag) return std::nullopt;
    return Raised{FleetAlarm::kLagging,
                  device.name,
                  "online, and behind its manifest since " + FormatRfc3339(news->since) +
                      "; on the device, sallyport-agent update status and its log say what it "
                      "refuses",
                  {}};
  }
  const auto bound = terms_.silence.find(device.device_class);
  if (bound == terms_.silence.end() || now - device.last_seen < bound->second) return std::nullopt;
  return Raised{FleetAlarm::kSilent,
                device.name,
                "not heard of since " + FormatRfc3339(device.last_seen) +
                    "; see to the device and its network, or retire it: sallyport device "
                    "decommission " +
                    device.name,
                {}};
}

Result<FleetAlarms::Found> FleetAlarms::Look(UnixTime now) const {
  SP_TRY(Snapshot snapshot, sources_.database.Read());
  SP_TRY(const std::vector<Row> rows,
         snapshot.connection().Query(
             "SELECT id, name, device_class, last_seen, manifest_version, COALESCE(finding, '') "
             "FROM devices LEFT JOIN device_floors ON device_id = id WHERE state = 'active'",
             "tttiit", {}));
  Found out;
  for (const Row& row : rows) {
    const Contact device{
        row.Text(0), row.Text(1), row.Text(2), row.Time(3), static_cast<uint64_t>(row.Integer(4)),
        row.Text(5)};
    if (std::optional<Raised> raised = Judge(device, now)) out.emplace(device.id, *raised);
  }
  return out;
}

// Say keeps when each was said. What does not fit into one check is counted, and said by the next.
void FleetAlarms::Say(Found& found, UnixTime now) {
  size_t said = 0;
  size_t more = 0;
  for (auto& [id, raised] : found) {
    const auto before = raised_.find(id);
    if (before != raised_.end() && before->second.alarm == raised.alarm)
      raised.said = before->second.said;
    if (raised.said.ms != 0 && now - raised.said < kRepeatEvery) continue;
    if (said == kNamedMax) {
      ++more;
      continue;
    }
    ++said;
    raised.said = now;
    outlets_.say(LogLevel::kWarning, EventOf(raised.alarm), raised.name, raised.text);
  }
  if (more > 0)
    outlets_.say(LogLevel::kWarning, "device_alarms", "",
                 std::to_string(more) + " more; see: sallyport device list");
}

void FleetAlarms::Check(UnixTime now) {
  Result<Found> found = Look(now);
  if (!found)
    return outlets_.say(LogLevel::kError, "device_alarms_unreadable", "", found.error().ToString());
  const std::lock_guard lock(raised_mutex_);
  Say(*found, now);
  raised_ = *std::move(found);
  for (const FleetAlarm alarm : kAlarms)
    outlets_.gauge(FleetAlarmName(alarm),
                   static_cast<size_t>(std::ranges::count_if(
                       raised_, [alarm](const auto& each) { return each.second.alarm == alarm; })));
}

JsonValue FleetAlarms::Json() const {
  const std::lock_guard lock(raised_mutex_);
  std::vector<JsonMember> out;
  for (const FleetAlarm alarm : kAlarms) {
    std::vector<std::string> names;
    for (const auto& [id, raised] : raised_)
      if (raised.alarm == alarm) names.push_back(raised.name);
    const size_t devices = names.size();
    std::ranges::sort(names);
    names.resize(std::min(names.size(), kNamedMax));
    out.push_back(
        {std::string(FleetAlarmName(alarm)),
         JsonValue::Object({{"devices", devices}, {"first", JsonValue::Strings(names)}})});
  }
  return JsonValue::Object(std::move(out));
}

std::string_view FleetAlarms::Of(const std::string& device_id) const {
  const std::lock_guard lock(raised_mutex_);
  const auto raised = raised_.find(device_id);
  return raised == raised_.end() ? std::string_view() : FleetAlarmName(raised->second.alarm);
}

}  // namespace sallyport::server
