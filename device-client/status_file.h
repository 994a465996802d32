// The agent's status as a file, for `sallyport-agent status` and for supervisors. Rewritten when it
// changes.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "device-client/duties.h"
#include "pki/base/json.h"

namespace sallyport::device {

std::string StatusPath(const Config& config);
std::string FloorsPath(const Config& config);

// StatusJson: {"state","device_id","posture","tier","not_after","epoch","refusal","slot","release",
// "manifest_version","floors":{"state","detail","rollback_index","image_root_version",
// "image_targets_version","director_version"},"download":Downloads::ToJson,"connections":[{"direction","peer","service","grant","policy_version","valid_until",
// "bytes_sent","bytes_received"}],"refusals":[{"at","direction","peer","service","reason","was_open"}],
// "update":UpdateJson}.
std::string StatusJson(const ClientStatus& status, Duties& duties);
// FloorsJson is its member "floors"; the numbers are absent unless the state is "held".
JsonValue FloorsJson(const FloorStatus& status);

// UpdateJson is its member "update":
// {"state","percent","gate","detail","target":{"release","slot"},
// "degraded","deadline":{"install_by","state"},
// "inhibitors":[{"who","why"}],"windows":{"install":{"open","detail"},"reboot":{"open","detail"}}},
// or null on a device that takes no updates. `state` is empty before the first report; `deadline`
// is null where the release has none, its `state` else ahead, unknown (no trusted time) or passed.
JsonValue UpdateJson(const std::optional<UpdateView>& update);

// DescribeUpdate takes release, slot, manifest, floors and the members of UpdateJson out of a
// status, as one JSON object or for people.
// kMalformed for what StatusJson did not write.
Result<std::string> DescribeUpdate(std::string_view status, bool json);

// DescribeAdoption: {"from":"server"|"zero","rollback_index",...}, or for people.
std::string DescribeAdoption(const Adoption& adoption, bool json);
// ErrorJson: {"error":{"reason","detail"}}.
std::string ErrorJson(const Error& error);

// StatusWriter looks twice a second. Start to destruction.
class StatusWriter {
 public:
  StatusWriter(FileSystem& files, std::string path, const Client& client, Duties& duties);
  ~StatusWriter();
  StatusWriter(const StatusWriter&) = delete;
  StatusWriter& operator=(const StatusWriter&) = delete;

 private:
  void Run();

  FileSystem& files_;
  const std::string path_;
  const Client& client_;
  Duties& duties_;
  std::mutex stop_mutex_;  // guards stopping_
  std::condition_variable stop_changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sallyport::device
