#include "ota/install/firmware_update.h"

#include <algorithm>
#include <charconv>

namespace sallyport::ota {
namespace {

// EFI_OS_INDICATIONS_FILE_CAPSULE_DELIVERY_SUPPORTED
constexpr uint64_t kCapsuleFromDisk = 0x4;
constexpr std::string_view kPrefix = "sallyport-";
constexpr std::string_view kSuffix = ".cap";
constexpr std::string_view kDemandFile = "/firmware";
constexpr uint64_t kDemandSizeMax = 1024;  // kComponentsMax lines
constexpr uint64_t kTableFieldSizeMax = 64;
constexpr size_t kCopySize = 1 << 20;

std::string_view Line(std::string_view text) { return text.substr(0, text.find('\n')); }

Result<uint32_t> Number(std::string_view text) {
  uint32_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size())
    return Error{Reason::kMalformed, "'" + std::string(text) + "' is no number",
                 "install.firmware-table"};
  return value;
}

Result<Unit> Copy(FileSystem& files, const std::string& from, const std::string& to) {
  SP_TRY(const auto in, files.Open(from, OpenMode::kRead));
  SP_TRY(const auto out, files.Open(to, OpenMode::kCreate));
  Bytes buffer(kCopySize);
  for (uint64_t at = 0;;) {
    SP_TRY(const size_t size, in->ReadAt(at, buffer));
    if (size == 0) return out->Sync();
    SP_TRY(out->WriteAt(at, ByteView(buffer).first(size)));
    at += size;
  }
}

}  // namespace

FirmwareUpdate::FirmwareUpdate(FileSystem& files, FirmwareConfig config)
    : files_(files),
      config_(std::move(config)),
      staged_(config_.esp + "/EFI/sallyport"),
      delivered_(config_.esp + "/EFI/UpdateCapsule"),
      variables_(files, config_.variables, kEfiGlobalGuid) {}

Result<std::vector<FirmwareUpdate::Entry>> FirmwareUpdate::Table() {
  std::vector<Entry> out;
  const auto names = files_.List(config_.table);
  if (!names) return out;  // firmware without a table
  for (const std::string& name : *names) {
    const auto field = [&](const char* key) -> Result<std::string> {
      SP_TRY(const Bytes text,
             ReadFile(files_, config_.table + "/" + name + "/" + key, kTableFieldSizeMax));
      return std::string(Line(AsText(text)));
    };
    SP_TRY(std::string fw_class, field("fw_class"));
    SP_TRY(const std::string version_text, field("fw_version"));
    SP_TRY(const std::string lowest_text, field("lowest_supported_fw_version"));
    SP_TRY(const uint32_t version, Number(version_text));
    SP_TRY(const uint32_t lowest, Number(lowest_text));
    out.push_back({{std::move(fw_class), version}, lowest});
  }
  return out;
}

Result<std::optional<FirmwareUpdate::Entry>> FirmwareUpdate::FindEntry(
    const std::string& fw_class) {
  SP_TRY(const std::vector<Entry> table, Table());
  for (const Entry& entry : table)
    if (entry.current.fw_class == fw_class) return std::optional(entry);
  return std::optional<Entry>();
}

// A variable that does not exist indicates nothing.
Result<uint64_t> FirmwareUpdate::Indications(const std::string& name) {
  SP_TRY(const std::optional<Bytes> data, variables_.Read(name));
  if (!data) return uint64_t{0};
  ByteReader reader(*data, "indications");
  SP_TRY(const uint64_t value, reader.LittleU64());
  SP_TRY(reader.End());
  return value;
}

Result<Unit> FirmwareUpdate::Indicate(bool deliver) {
  SP_TRY(const uint64_t held, Indications("OsIndications"));
  const uint64_t wanted = deliver ? held | kCapsuleFromDisk : held & ~kCapsuleFromDisk;
  if (wanted == held) return Unit{};
  return variables_.Write("OsIndications", ByteWriter().LittleU64(wanted).bytes());
}

Result<Unit> FirmwareUpdate::Check(const InstallFacts& facts) {
  for (const RemoteComponent& component : facts.components) {
    if (!component.firmware) continue;
    SP_TRY(const uint64_t supported, Indications("OsIndicationsSupported"));
    if ((supported & kCapsuleFromDisk) == 0)
      return Error{Reason::kPolicyDenied, "this firmware takes no capsules from the disk",
                   "install.capsule-support"};
    SP_TRY(const std::optional<Entry> entry, FindEntry(component.firmware->fw_class));
    if (!entry)
      return Error{Reason::kPolicyDenied,
                   "component " + component.name + ": this machine has no firmware " +
                       component.firmware->fw_class,
                   "install.firmware-class"};
    if (component.firmware->version < entry->lowest)
      return Error{Reason::kPolicyDenied,
                   "component " + component.name + ": version " +
                       std::to_string(component.firmware->version) + ", the firmware takes " +
                       std::to_string(entry->lowest) + " and above",
                   "install.firmware-floor"};
  }
  return Unit{};
}

uint64_t FirmwareUpdate::StagedBytes(const InstallFacts& facts) {
  uint64_t bytes = 0;
  for (const RemoteComponent& component : facts.components)
    if (component.firmware) bytes += kCapsuleCopies * component.file.length;
  return bytes;
}

Result<Unit> FirmwareUpdate::WriteDemand(const InstallFacts& facts) {
  std::string text;
  for (const RemoteComponent& component : facts.components)
    if (component.firmware)
      text +=
          component.firmware->fw_class + " " + std::to_string(component.firmware->version) + "\n";
  if (text.empty()) return Unit{};
  return WriteFileAtomically(files_, staged_ + std::string(kDemandFile), AsBytes(text));
}

Result<Unit> FirmwareUpdate::Stage(const InstallFacts& facts, PayloadSource& source) {
  SP_TRY(Withdraw());
  for (const RemoteComponent& component : facts.components) {
    if (!component.firmware) continue;
    SP_TRY(const std::optional<Entry> entry, FindEntry(component.firmware->fw_class));
    if (entry && entry->current.version >= component.firmware->version) continue;
    SP_TRY(files_.MakeDirectories(staged_));
    const std::string path =
        staged_ + "/" + std::string(kPrefix) + component.name + std::string(kSuffix);
    SP_TRY(FetchFile(files_, source, component.file, path + ".tmp", "install.component-digest"));
    SP_TRY(files_.Rename(path + ".tmp", path));
  }
  SP_TRY(WriteDemand(facts));
  return StagedBytes(facts) == 0 ? Ok() : files_.SyncDirectory(staged_);
}

Result<std::vector<std::string>> FirmwareUpdate::Capsules(const std::string& directory) {
  std::vector<std::string> out;
  const auto names = files_.List(directory);
  if (!names && names.error().reason != Reason::kNotFound) return names.error();
  if (!names) return out;
  for (const std::string& name : *names)
    if (name.starts_with(kPrefix) && name.find(kSuffix) != name.npos) out.push_back(name);
  return out;
}

// A name in the directory that the firmware reads stands for a whole file from its beginning.
Result<Unit> FirmwareUpdate::DeliverOne(const std::string& name) {
  const std::string copy = staged_ + "/" + name + ".tmp";
  SP_TRY(Copy(files_, staged_ + "/" + name, copy));
  SP_TRY(files_.MakeDirectories(delivered_));
  return files_.Rename(copy, delivered_ + "/" + name);
}

// The capsules first: with the flag alone the firmware would find nothing, and clear it.
Result<Unit> FirmwareUpdate::Deliver() {
  if (Confirm()) return Unit{};
  SP_TRY(const std::vector<std::string> staged, Capsules(staged_));
  for (const std::string& name : staged)
    if (name.ends_with(kSuffix)) SP_TRY(DeliverOne(name));
  if (staged.empty()) return Unit{};
  SP_TRY(files_.SyncDirectory(delivered_));
  SP_TRY(files_.SyncDirectory(staged_));
  return Indicate(true);
}

Result<std::vector<FirmwareVersion>> FirmwareUpdate::Demand() {
  std::vector<FirmwareVersion> out;
  const auto file = ReadFile(files_, staged_ + std::string(kDemandFile), kDemandSizeMax);
  if (!file && file.error().reason == Reason::kNotFound) return out;
  if (!file) return file.error();
  for (std::string_view text = AsText(*file); !text.empty();) {
    const std::string_view line = Line(text);
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t space = std::min(line.find(' '), line.size());
    const auto version = Number(line.substr(std::min(space + 1, line.size())));
    if (!IsFirmwareClass(line.substr(0, space)) || !version)
      return Error{Reason::kMalformed, "the firmware that this release wants is not readable",
                   "install.firmware-demand"};
    out.push_back({std::string(line.substr(0, space)), *version});
  }
  return out;
}

Result<Unit> FirmwareUpdate::Confirm() {
  SP_TRY(const std::vector<FirmwareVersion> demand, Demand());
  for (const FirmwareVersion& wanted : demand) {
    SP_TRY(const std::optional<Entry> entry, FindEntry(wanted.fw_class));
    if (!entry || entry->current.version < wanted.version)
      return Error{Reason::kMismatch,
                   "firmware " + wanted.fw_class + " did not become version " +
                       std::to_string(wanted.version),
                   "install.firmware-version"};
  }
  return Unit{};
}

// The directory is flushed also when nothing is in it: whoever removed it may have been killed
// before it was durable.
Result<Unit> FirmwareUpdate::Clear(const std::string& directory) {
  SP_TRY(const std::vector<std::string> capsules, Capsules(directory));
  for (const std::string& name : capsules) SP_TRY(files_.Remove(directory + "/" + name));
  auto synced = files_.SyncDirectory(directory);
  if (!synced && synced.error().reason == Reason::kNotFound) return Unit{};
  return synced;
}

Result<Unit> FirmwareUpdate::Withdraw() {
  SP_TRY(const std::vector<std::string> delivered, Capsules(delivered_));
  if (!delivered.empty()) SP_TRY(Indicate(false));
  SP_TRY(Clear(delivered_));
  SP_TRY(RemoveIfThere(files_, staged_ + std::string(kDemandFile)));
  return Clear(staged_);
}

}  // namespace sallyport::ota
