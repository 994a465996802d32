#include "tests/fakes/firmware_model.h"

#include "tests/fakes/capsule_builder.h"

namespace sallyport {
namespace {

constexpr const char* kEntry = "esrt/entry0";
constexpr const char* kIndications = "efivars/OsIndications-8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr const char* kSupported =
    "efivars/OsIndicationsSupported-8be4df61-93ca-11d2-aa0d-00e098032b8c";
constexpr uint8_t kCapsuleFromDisk = 0x4;
constexpr size_t kAttributesSize = 4;
constexpr uint64_t kFileMax = 1 << 20;

Bytes Variable(uint64_t value) { return ByteWriter().LittleU32(7).LittleU64(value).bytes(); }

}  // namespace

FirmwareModel::FirmwareModel(MemoryFileSystem& files, CapsuleOrder order)
    : files_(files), order_(order) {
  SP_CHECK(files_.MakeDirectories(kEntry).has_value());
  const auto plant = [&](const std::string& name, std::string_view text) {
    files_.Plant(std::string(kEntry) + "/" + name, AsBytes(text));
  };
  plant("fw_class", kTestFirmwareClass);
  plant("lowest_supported_fw_version", "5\n");
  plant("fw_version", std::to_string(version_) + "\n");
  files_.Plant(kSupported, Variable(kCapsuleFromDisk | 1));
}

bool FirmwareModel::Indicated() {
  const auto variable = ReadFile(files_, kIndications, kFileMax);
  return variable && variable->size() > kAttributesSize &&
         ((*variable)[kAttributesSize] & kCapsuleFromDisk) != 0;
}

Result<Unit> FirmwareModel::ClearIndication() {
  SP_TRY(const auto variable, files_.Open(kIndications, OpenMode::kReadWrite));
  SP_TRY(variable->WriteAt(0, Variable(0)));
  return variable->Sync();
}

Result<Unit> FirmwareModel::Remove(const std::string& name) {
  SP_TRY(files_.Remove(std::string(kDelivered) + "/" + name));
  return files_.SyncDirectory(kDelivered);
}

void FirmwareModel::Update(const Bytes& capsule) {
  const std::string problem = on_offer ? on_offer(capsule) : "";
  if (problem_.empty()) problem_ = problem;
  const auto found = signed_.find(capsule);
  if (found == signed_.end() || found->second < 5) return;
  version_ = found->second;
  files_.Plant(std::string(kEntry) + "/fw_version", AsBytes(std::to_string(version_) + "\n"));
}

Result<Unit> FirmwareModel::PowerOn() {
  if (!Indicated()) return Unit{};
  SP_TRY(const std::vector<std::string> names, files_.List(kDelivered));
  std::vector<Bytes> capsules;
  if (order_ == CapsuleOrder::kRemovesFirst) SP_TRY(ClearIndication());
  for (const std::string& name : names) {
    SP_TRY(Bytes capsule, ReadFile(files_, std::string(kDelivered) + "/" + name, kFileMax));
    if (order_ == CapsuleOrder::kUpdatesFirst) Update(capsule);
    SP_TRY(Remove(name));
    capsules.push_back(std::move(capsule));
  }
  if (order_ == CapsuleOrder::kUpdatesFirst) return ClearIndication();
  for (const Bytes& capsule : capsules) Update(capsule);
  return Unit{};
}

std::string FirmwareModel::Left() {
  std::string left = Indicated() ? "an indication " : "";
  for (const char* directory : {kDelivered, kStaged}) {
    const auto names = files_.List(directory);
    for (const std::string& name : *names)
      if (name.starts_with("sallyport-") || name == "firmware")
        left += std::string(directory) + "/" + name + " ";
  }
  return left;
}

}  // namespace sallyport
