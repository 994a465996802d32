#include "tests/node/virtual_node.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "ota/measure/pe_image.h"
#include "pki/base/json.h"
#include "pki/crypto/hash.h"
#include "tests/node/kernel_list.h"

namespace sallyport::node {
namespace {

constexpr std::string_view kFormat = "virtual-node/v1";
constexpr std::string_view kFirmwareVersion = "virtual firmware 1.0";
constexpr size_t kConfigBytesMax = 4096;
constexpr size_t kReleaseBytesMax = 1 << 20;
constexpr size_t kCopyBytes = 1 << 20;
constexpr std::string_view kImageOption = "sallyport.image=";
constexpr std::string_view kFaultOption = "sallyport.fault=";

std::string UkiFile(Slot slot) {
  return slot == Slot::kA ? "/EFI/sallyport/a.efi" : "/EFI/sallyport/b.efi";
}

// Option returns the value of the last word of `cmdline` that begins with `name`; empty when there
// is none.
std::string_view Option(std::string_view cmdline, std::string_view name) {
  std::string_view value;
  while (!cmdline.empty()) {
    const std::string_view word = cmdline.substr(0, cmdline.find(' '));
    if (word.starts_with(name)) value = word.substr(name.size());
    cmdline.remove_prefix(std::min(word.size() + 1, cmdline.size()));
  }
  return value;
}

Result<Unit> CopyFile(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return Error{Reason::kUnavailable, from + " to " + to + ": " + error.message()};
  return Ok();
}

// MakeSlot makes a slot file of `bytes`, sparse after its content.
Result<Unit> MakeSlot(FileSystem& files, const std::string& path, uint64_t bytes) {
  SP_TRY(const auto file, files.Open(path, OpenMode::kReadWrite));
  SP_TRY(const uint64_t size, file->Size());
  if (size > bytes) return Error{Reason::kNoSpace, "the image is larger than the slot"};
  std::error_code error;
  std::filesystem::resize_file(path, bytes, error);
  if (error) return Error{Reason::kUnavailable, path + ": " + error.message()};
  return Ok();
}

Result<Sha256Digest> HashFile(FileSystem& files, const std::string& path, uint64_t bytes) {
  SP_TRY(const auto file, files.Open(path, OpenMode::kRead));
  pki::Hasher hasher(pki::HashAlgorithm::kSha256);
  Bytes buffer(kCopyBytes);
  for (uint64_t offset = 0; offset < bytes;) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), bytes - offset));
    SP_TRY(const size_t got, file->ReadAt(offset, std::span(buffer).first(wanted)));
    if (got == 0) return Error{Reason::kMalformed, "the slot is shorter than its image"};
    hasher.Update(ByteView(buffer).first(got));
    offset += got;
  }
  return Sha256Digest::FromView(hasher.Finish());
}

// StoreKeys writes the certificates beside the node: what a manufacturer's shipping list would
// hold.
Result<Unit> StoreKeys(FileSystem& files, const std::string& dir,
                       const std::vector<EndorsementKey>& keys) {
  for (const EndorsementKey& key : keys) {
    const std::string name = key.kind == EkKind::kP256 ? "/ek-p256.der" : "/ek-rsa2048.der";
    SP_TRY(WriteFileAtomically(files, dir + name, key.certificate));
  }
  return Ok();
}

Result<std::vector<EndorsementKey>> NewTpm(FileSystem& files, const std::string& dir,
                                           const std::string& vendor_dir,
                                           const std::vector<PcrBankId>& banks, UnixTime now,
                                           Random& random) {
  SP_TRY(const VendorCa vendor, VendorCa::Load(files, vendor_dir));
  SP_TRY(SwTpm tpm, SwTpm::Start(dir + "/tpm"));
  SP_TRY(std::vector<EndorsementKey> keys, Manufacture(tpm, vendor, now, random, banks));
  tpm.Stop();
  SP_TRY(StoreKeys(files, dir, keys));
  return keys;
}

Result<Unit> MakeBootVariables(FileSystem& files, const ota::EfiBootConfig& config,
                               const Disk& disk) {
  const Partition& first = disk.partitions.front();
  const ota::EfiPartition esp{1, first.first_block, first.last_block - first.first_block + 1,
                              first.guid};
  EfiVariables variables(files, config.variables);
  SP_TRY(
      variables.Set(BootEntryName(BootEntryOf(Slot::kA)), kNonVolatile, config.slot_a.Encode(esp)));
  SP_TRY(
      variables.Set(BootEntryName(BootEntryOf(Slot::kB)), kNonVolatile, config.slot_b.Encode(esp)));
  return variables.SetU16s("BootOrder", kNonVolatile,
                           {BootEntryOf(Slot::kA), BootEntryOf(Slot::kB)});
}

// WriteHardware describes the machine to the agent: everything in its configuration that is not the
// operator's.
Result<Unit> WriteHardware(FileSystem& files, const std::string& dir) {
  const std::string at = std::filesystem::absolute(dir).string();
  std::string text = "sallyport: agent/v1\nhardware: virtual-x86_64\n";
  text += "state: " + at + "/state\n";
  text += "tcti: swtpm:path=" + at + "/tpm/tpm.sock\n";
  text += "event_log: " + at + "/run/binary_bios_measurements\n";
  text += "ima_list: " + at + "/run/binary_runtime_measurements\n";
  text += "enrolment_file: " + at + "/enrolment.json\n";
  text += "update:\n  slot_a: " + at + "/slot-a.img\n  slot_b: " + at + "/slot-b.img\n";
  text += "  esp: " + at + "/esp\n  efivars: " + at + "/efivars\n";
  // The service manager and the journal are those of the host, not of the node.
  text += "  health: {units: []}\n  previous_log: " + at + "/agent.log\n";
  return WriteFileAtomically(files, dir + "/hardware.yaml", AsBytes(text));
}

// MarkRelease does what an installer leaves behind: the digest of the release beside its UKI.
Result<Unit> MarkRelease(FileSystem& files, const std::string& uki, const std::string& release) {
  SP_TRY(const Bytes json, ReadFile(files, release, kReleaseBytesMax));
  return WriteFileAtomically(files, uki + ".release", AsBytes(HexEncode(pki::Sha256(json))));
}

Result<Unit> WriteConfig(FileSystem& files, const std::string& dir, const NodeSpec& spec) {
  std::vector<JsonMember> members;
  members.push_back({"sallyport", kFormat});
  members.push_back({"name", spec.name});
  members.push_back({"slot_bytes", spec.slot_bytes});
  members.push_back({"vendor_dir", std::filesystem::absolute(spec.vendor_dir).string()});
  members.push_back({"watchdog_ms", spec.watchdog.ms});
  std::vector<JsonValue> banks;
  for (const PcrBankId bank : spec.banks) banks.emplace_back(uint64_t{bank});
  members.push_back({"banks", JsonValue::Array(std::move(banks))});
  return WriteFileAtomically(files, dir + "/node.json",
                             AsBytes(WriteJson(JsonValue::Object(std::move(members)))));
}

}  // namespace

std::string VirtualNode::UkiPath(Slot slot) const { return dir_ + "/esp" + UkiFile(slot); }
std::string VirtualNode::SlotPath(Slot slot) const {
  return dir_ + (slot == Slot::kA ? "/slot-a.img" : "/slot-b.img");
}

Result<std::vector<EndorsementKey>> VirtualNode::Create(const std::string& dir,
                                                        const NodeSpec& spec, UnixTime now,
                                                        Random& random) {
  if (std::filesystem::exists(dir + "/node.json"))
    return Error{Reason::kAlreadyExists, dir + " holds a node"};
  VirtualNode node(dir);
  for (const char* below : {"/esp/EFI/sallyport", "/efivars", "/run", "/state"})
    SP_TRY(node.files_.MakeDirectories(dir + below));
  SP_TRY(CopyFile(spec.uki, node.UkiPath(Slot::kA)));
  SP_TRY(CopyFile(spec.image, node.SlotPath(Slot::kA)));
  SP_TRY(WriteFileAtomically(node.files_, node.SlotPath(Slot::kB), {}));
  for (const Slot slot : {Slot::kA, Slot::kB})
    SP_TRY(MakeSlot(node.files_, node.SlotPath(slot), spec.slot_bytes));
  if (!spec.release.empty()) SP_TRY(MarkRelease(node.files_, node.UkiPath(Slot::kA), spec.release));
  SP_TRY(MakeBootVariables(node.files_, node.BootConfig(), Disk::Of(node.name_, node.slot_bytes_)));
  SP_TRY(WriteHardware(node.files_, dir));
  SP_TRY(auto keys, NewTpm(node.files_, dir, spec.vendor_dir, spec.banks, now, random));
  SP_TRY(WriteConfig(node.files_, dir, spec));
  return keys;
}

Result<VirtualNode> VirtualNode::Open(const std::string& dir) {
  VirtualNode node(dir);
  SP_TRY(node.LoadConfig());
  return node;
}

Result<Unit> VirtualNode::LoadConfig() {
  SP_TRY(const Bytes text, ReadFile(files_, dir_ + "/node.json", kConfigBytesMax));
  SP_TRY(const JsonValue json, ParseJson(AsText(text)));
  const JsonCursor config(json);
  SP_TRY(const std::string_view format, config.GetString("sallyport"));
  if (format != kFormat)
    return Error{Reason::kUnsupported, "node.json is not " + std::string(kFormat)};
  SP_TRY(name_, config.GetString("name"));
  SP_TRY(vendor_dir_, config.GetString("vendor_dir"));
  SP_TRY(const int64_t slot_bytes, config.GetInteger("slot_bytes", 1));
  SP_TRY(watchdog_.ms, config.GetInteger("watchdog_ms", 0));
  slot_bytes_ = static_cast<uint64_t>(slot_bytes);
  SP_TRY(const std::vector<JsonCursor> banks, config.GetElements("banks"));
  for (const JsonCursor& each : banks) {
    SP_TRY(const int64_t bank, each.Integer(0, UINT16_MAX));
    banks_.push_back(static_cast<PcrBankId>(bank));
  }
  return Ok();
}

FirmwareConfig VirtualNode::Firmware() const {
  return {EfiVariablesDir(), dir_ + "/esp", std::string(kFirmwareVersion),
          Disk::Of(name_, slot_bytes_)};
}

Result<BootReport> VirtualNode::PowerOn(Random& random) {
  if (!tpm_) {
    SP_TRY(tpm_, SwTpm::Start(dir_ + "/tpm"));
  } else {
    SP_TRY(tpm_->Reset());
  }
  SP_TRY(EsysTpm commands, EsysTpm::Connect(tpm_->tcti()));
  SP_TRY(FirmwareResult firmware, RunFirmware(Firmware(), files_, commands, random));
  SP_TRY(WriteFileAtomically(files_, EventLogPath(), firmware.event_log));
  if (!firmware.image)
    return BootReport{BootOutcome::kNoImage, {}, std::move(firmware.refusals), {}};
  SP_TRY(KernelList(files_, commands, ImaListPath()).Begin());
  SP_TRY(BootReport report, StartKernel(*firmware.image));
  report.refusals = std::move(firmware.refusals);
  return report;
}

// StartKernel does what the kernel and its initrd do: find the slot by BootCurrent, check its image
// against the measured command line, and start the system or not.
Result<BootReport> VirtualNode::StartKernel(const BootedImage& image) {
  const Slot slot = image.entry == BootEntryOf(Slot::kB) ? Slot::kB : Slot::kA;
  const std::string_view fault = Option(image.cmdline, kFaultOption);
  if (fault == "panic") return BootReport{BootOutcome::kPanicked, slot, {}, "made to panic"};
  const auto intact = CheckSlotImage(slot, image.cmdline);
  if (!intact) return BootReport{BootOutcome::kPanicked, slot, {}, intact.error().ToString()};
  return BootReport{fault == "hang" ? BootOutcome::kHung : BootOutcome::kRunning, slot, {}, {}};
}

Result<Unit> VirtualNode::CheckSlotImage(Slot slot, std::string_view cmdline) {
  const std::string_view option = Option(cmdline, kImageOption);
  const size_t colon = option.find(':');
  if (colon == std::string_view::npos)
    return Error{Reason::kMalformed, "no image on the kernel command line"};
  SP_TRY(const Bytes wanted, HexDecode(option.substr(0, colon)));
  uint64_t bytes = 0;
  const std::string_view digits = option.substr(colon + 1);
  if (std::from_chars(digits.data(), digits.data() + digits.size(), bytes).ptr !=
      digits.data() + digits.size())
    return Error{Reason::kMalformed, "image size on the kernel command line"};
  SP_TRY(const Sha256Digest found, HashFile(files_, SlotPath(slot), bytes));
  if (!Equal(found.view(), wanted))
    return Error{Reason::kMismatch, "the slot does not hold the image of this kernel"};
  return Ok();
}

Result<Unit> VirtualNode::RunFile(const std::string& file, std::string_view content) {
  SP_CHECK(tpm_.has_value());
  SP_TRY(EsysTpm commands, EsysTpm::Connect(tpm_->tcti()));
  return KernelList(files_, commands, ImaListPath()).Measure(file, AsBytes(content));
}

void VirtualNode::CutPower() {
  if (tpm_) tpm_->CutPower();
  tpm_.reset();
}

void VirtualNode::PowerOff() {
  if (tpm_) tpm_->Stop();
  tpm_.reset();
}

Result<Unit> VirtualNode::Tamper() {
  const std::vector<uint16_t> order = EfiVariables(files_, EfiVariablesDir()).GetU16s("BootOrder");
  if (order.empty()) return Error{Reason::kNotFound, "no BootOrder"};
  const std::string path = UkiPath(order.front() == BootEntryOf(Slot::kB) ? Slot::kB : Slot::kA);
  SP_TRY(Bytes bytes, ReadFile(files_, path, kImageBytesMax));
  SP_TRY(const auto image, ota::PeImage::Parse(bytes));
  const ota::PeSection* initrd = image.Find(".initrd");
  if (initrd == nullptr || initrd->raw_size == 0)
    return Error{Reason::kNotFound, "no .initrd in " + path};
  bytes[initrd->raw_offset] ^= 1;
  return WriteFileAtomically(files_, path, bytes);
}

Result<Unit> VirtualNode::SwapTpm(UnixTime now, Random& random) {
  SP_CHECK(!tpm_);
  std::filesystem::remove_all(dir_ + "/tpm");
  SP_TRY(NewTpm(files_, dir_, vendor_dir_, banks_, now, random));
  return Ok();
}

}  // namespace sallyport::node
