#include "tests/node/virtual_firmware.h"

#include <algorithm>

#include "ota/measure/authenticode.h"
#include "ota/measure/pe_image.h"
#include "pki/crypto/hash.h"

namespace sallyport::node {
namespace {

constexpr std::string_view kCalling = "Calling EFI Application from Boot Option";
constexpr std::string_view kReturning = "Returning from EFI Application from Boot Option";
constexpr std::string_view kExitInvocation = "Exit Boot Services Invocation";
constexpr std::string_view kExitSuccess = "Exit Boot Services Returned with Success";
constexpr std::array<uint8_t, 4> kSeparatorData{0, 0, 0, 0};
constexpr uint32_t kLastFirmwarePcr =
    6;  // PCR 7 gets its separator earlier, after the Secure Boot variables

// Sections that systemd-stub 252 measures, in its order (boot/efi/stub.c, unified_sections).
constexpr std::array<std::string_view, 7> kStubSections{".linux",  ".osrel", ".cmdline", ".initrd",
                                                        ".splash", ".dtb",   ".pcrpkey"};
// Event tags of the Linux EFI stub (drivers/firmware/efi/libstub/efistub.h).
constexpr uint32_t kInitrdTag = 0x8F3B22EC;
constexpr uint32_t kLoadOptionsTag = 0x8F3B22ED;
// The vendor media path under which systemd-stub loads the kernel it holds.
constexpr std::array<uint8_t, 24> kKernelPath{4,    3,    20,   0,    0xf8, 0xd1, 0xc5, 0x55,
                                              0xcd, 0x04, 0xb5, 0x46, 0x8a, 0x20, 0xe5, 0x6c,
                                              0xbb, 0x30, 0x52, 0xd0, 0x7f, 0xff, 4,    0};
// EFI_CERT_SHA256_GUID.
constexpr Guid kSha256Signatures{0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40,
                                 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28};
constexpr uint64_t kLoadAddress = 0x2c703018;
constexpr uint64_t kFirmwareBase = 0x820000;

Bytes Variable(const Guid& guid, std::string_view name, ByteView data) {
  ByteWriter out;
  out.Raw(guid).LittleU64(name.size()).LittleU64(data.size()).Raw(Utf16(name)).Raw(data);
  return std::move(out).Take();
}

// Memory is a section as the loader maps it: cut or zero-filled to its virtual size.
Bytes Memory(const ota::PeImage& image, std::string_view name) {
  const ota::PeSection* section = image.Find(name);
  if (section == nullptr || section->virtual_size > kImageBytesMax) return {};
  Bytes out =
      ToBytes(section->raw.first(std::min<size_t>(section->raw.size(), section->virtual_size)));
  out.resize(section->virtual_size);
  return out;
}

// SignatureOf returns the EFI_SIGNATURE_DATA of `image` (owner, then SHA-256) in the lists of image
// hashes that `database` holds, empty when it is not there (UEFI 2.10, 32.4.1).
Bytes SignatureOf(const Sha256Digest& image, ByteView database) {
  constexpr size_t kListHeaderBytes = 28;
  constexpr size_t kOwnerBytes = 16;
  constexpr size_t kEntryBytes = kOwnerBytes + Sha256Digest::kSize;
  while (database.size() > kListHeaderBytes) {
    const uint32_t list = ByteReader(database.subspan(16), "signature list").LittleU32().value();
    if (list <= kListHeaderBytes || list > database.size()) return {};
    const bool hashes = std::ranges::equal(database.first(16), kSha256Signatures);
    ByteView entries = database.subspan(kListHeaderBytes, list - kListHeaderBytes);
    for (; hashes && entries.size() >= kEntryBytes; entries = entries.subspan(kEntryBytes))
      if (Equal(entries.subspan(kOwnerBytes, Sha256Digest::kSize), image.view()))
        return ToBytes(entries.first(kEntryBytes));
    database = database.subspan(list);
  }
  return {};
}

// Boot is one run from power-on to the start of a kernel.
class Boot {
 public:
  Boot(const FirmwareConfig& config, FileSystem& files, EsysTpm& tpm, std::vector<PcrBankId> banks)
      : config_(config),
        files_(files),
        variables_(files, config.efivars_dir),
        log_(tpm, std::move(banks)) {}

  Result<FirmwareResult> Run();

 private:
  Result<Unit> MeasureFirmware();
  Result<Unit> MeasureSecureBootVariables();
  Result<Unit> MeasureBootVariables();
  Result<Unit> ReadyToBoot();
  // Try returns nothing when the entry did not start; the reason is in refusals.
  Result<std::optional<BootedImage>> Try(uint16_t entry);
  Result<std::optional<BootedImage>> Start(uint16_t entry, const LoadOption& option);
  // Authorise says whether Secure Boot lets the image run, and measures what allowed it.
  Result<std::optional<Unit>> Authorise(const ota::PeImage& image);
  Result<Unit> MeasureImage(const ota::PeImage& image, ByteView device_path);
  Result<Unit> MeasureSections(const ota::PeImage& image);
  Result<Unit> MeasureKernel(ByteView cmdline, ByteView initrd);
  std::nullopt_t Refuse(uint16_t entry, const std::string& why);
  std::vector<uint16_t> Candidates();

  const FirmwareConfig& config_;
  FileSystem& files_;
  EfiVariables variables_;
  MeasuredLog log_;
  bool secure_boot_ = false;
  Bytes db_, dbx_;
  std::vector<Bytes> authorities_;  // measured, each once
  int attempts_ = 0;
  std::vector<std::string> refusals_;
};

std::nullopt_t Boot::Refuse(uint16_t entry, const std::string& why) {
  refusals_.push_back(BootEntryName(entry) + ": " + why);
  return std::nullopt;
}

Result<Unit> Boot::MeasureFirmware() {
  const Bytes terminator{0};
  SP_TRY(log_.MeasureData(0, EventType::kCrtmVersion, Bytes{0, 0}));
  for (const uint64_t volume : {0u, 1u}) {
    const std::string_view name = volume == 0 ? "pei" : "dxe";
    const ByteWriter blob =
        ByteWriter().LittleU64(kFirmwareBase + (volume << 20)).LittleU64((volume + 1) << 19);
    SP_TRY(log_.Measure(0, EventType::kFirmwareBlob,
                        {AsBytes(name), terminator, AsBytes(config_.version)}, blob.bytes()));
  }
  return Ok();
}

Result<Unit> Boot::MeasureSecureBootVariables() {
  const auto measure = [&](const Guid& guid, std::string_view name, ByteView data) {
    return log_.MeasureData(7, EventType::kVariableDriverConfig, Variable(guid, name, data));
  };
  const auto stored = [&](const char* name, const Guid& guid) {
    return variables_.Get(name, guid).value_or(Bytes());
  };
  secure_boot_ = !stored("PK", kGlobalVariable).empty();
  db_ = stored("db", kImageSecurity);
  dbx_ = stored("dbx", kImageSecurity);
  SP_TRY(measure(kGlobalVariable, "SecureBoot", Bytes{static_cast<uint8_t>(secure_boot_ ? 1 : 0)}));
  for (const char* const name : {"PK", "KEK"})
    SP_TRY(measure(kGlobalVariable, name, stored(name, kGlobalVariable)));
  SP_TRY(measure(kImageSecurity, "db", db_));
  SP_TRY(measure(kImageSecurity, "dbx", dbx_));
  return log_.MeasureData(7, EventType::kSeparator, kSeparatorData);
}

// The digest of a boot variable is of its data alone, unlike that of a Secure Boot variable.
Result<Unit> Boot::MeasureBootVariables() {
  std::vector<std::string> names{"BootOrder"};
  for (const uint16_t entry : variables_.GetU16s("BootOrder"))
    names.push_back(BootEntryName(entry));
  for (const std::string& name : names) {
    const std::optional<Bytes> data = variables_.Get(name);
    if (!data) continue;
    SP_TRY(
        log_.Measure(1, EventType::kVariableBoot, {*data}, Variable(kGlobalVariable, name, *data)));
  }
  return Ok();
}

// ReadyToBoot is signalled before each attempt, whether or not there is an image (EDK II, Tcg2Dxe).
Result<Unit> Boot::ReadyToBoot() {
  if (attempts_++ > 0) {
    SP_TRY(log_.MeasureData(4, EventType::kEfiAction, AsBytes(kReturning)));
    return log_.MeasureData(4, EventType::kEfiAction, AsBytes(kCalling));
  }
  SP_TRY(MeasureBootVariables());
  SP_TRY(log_.MeasureData(4, EventType::kEfiAction, AsBytes(kCalling)));
  for (uint32_t pcr = 0; pcr <= kLastFirmwarePcr; ++pcr)
    SP_TRY(log_.MeasureData(pcr, EventType::kSeparator, kSeparatorData));
  return log_.MeasureData(5, EventType::kGpt, GptEvent(config_.disk));
}

// Images are enrolled by their hashes: no certificates in this firmware (UEFI 2.10, 32.5.3.3).
Result<std::optional<Unit>> Boot::Authorise(const ota::PeImage& image) {
  if (!secure_boot_) return std::optional(Unit{});
  const Sha256Digest digest = ota::AuthenticodeSha256(image);
  const Bytes allowed = SignatureOf(digest, db_);
  if (allowed.empty() || !SignatureOf(digest, dbx_).empty()) return std::optional<Unit>();
  const Bytes authority = Variable(kImageSecurity, "db", allowed);
  if (std::ranges::find(authorities_, authority) == authorities_.end()) {
    SP_TRY(log_.MeasureData(7, EventType::kVariableAuthority, authority));
    authorities_.push_back(authority);
  }
  return std::optional(Unit{});
}

Result<Unit> Boot::MeasureImage(const ota::PeImage& image, ByteView device_path) {
  ByteWriter event;
  event.LittleU64(kLoadAddress).LittleU64(image.file().size()).LittleU64(0);
  event.LittleU64(device_path.size()).Raw(device_path);
  return log_.Measure(4, EventType::kBootServicesApplication, ota::AuthenticodeContent(image),
                      event.bytes());
}

Result<Unit> Boot::MeasureSections(const ota::PeImage& image) {
  const Bytes terminator{0};
  for (const std::string_view name : kStubSections) {
    const Bytes content = Memory(image, name);
    if (content.empty()) continue;
    Bytes label = Utf16(name);
    label.insert(label.end(), {0, 0});
    SP_TRY(log_.Measure(11, EventType::kIpl, {AsBytes(name), terminator}, label));
    SP_TRY(log_.Measure(11, EventType::kIpl, {content}, label));
  }
  return Ok();
}

Result<Unit> Boot::MeasureKernel(ByteView cmdline, ByteView initrd) {
  const auto tag = [](uint32_t id, std::string_view text) {
    return std::move(ByteWriter()
                         .LittleU32(id)
                         .LittleU32(static_cast<uint32_t>(text.size() + 1))
                         .Raw(AsBytes(text))
                         .U8(0))
        .Take();
  };
  Bytes options = Utf16(AsText(cmdline));
  options.insert(options.end(), {0, 0});
  SP_TRY(log_.Measure(9, EventType::kEventTag, {options},
                      tag(kLoadOptionsTag, "LOADED_IMAGE::LoadOptions")));
  if (!initrd.empty())
    SP_TRY(log_.Measure(9, EventType::kEventTag, {initrd}, tag(kInitrdTag, "Linux initrd")));
  SP_TRY(log_.MeasureData(5, EventType::kEfiAction, AsBytes(kExitInvocation)));
  return log_.MeasureData(5, EventType::kEfiAction, AsBytes(kExitSuccess));
}

Result<std::optional<BootedImage>> Boot::Start(uint16_t entry, const LoadOption& option) {
  const std::string path = config_.esp_dir + option.file;
  const auto file = ReadFile(files_, path, kImageBytesMax);
  if (!file) return {Refuse(entry, file.error().ToString())};
  const auto image = ota::PeImage::Parse(*file);
  if (!image) return {Refuse(entry, image.error().ToString())};
  SP_TRY(const std::optional<Unit> authorised, Authorise(*image));
  if (!authorised) return {Refuse(entry, "Access Denied")};
  SP_TRY(MeasureImage(*image, option.device_path));
  // From here the image itself runs: first systemd's stub, then the kernel in it.
  const Bytes kernel = Memory(*image, ".linux");
  if (kernel.empty()) return {Refuse(entry, "the stub found no .linux section")};
  SP_TRY(MeasureSections(*image));
  const auto kernel_image = ota::PeImage::Parse(kernel);
  if (!kernel_image) return {Refuse(entry, "the stub could not load its kernel")};
  // With Secure Boot on the stub loads the kernel itself, past the firmware that would measure it.
  if (!secure_boot_) SP_TRY(MeasureImage(*kernel_image, kKernelPath));
  Bytes cmdline = Memory(*image, ".cmdline");
  cmdline.erase(std::ranges::find(cmdline, uint8_t{0}), cmdline.end());
  SP_TRY(MeasureKernel(cmdline, Memory(*image, ".initrd")));
  return {BootedImage{entry, path, ToString(cmdline)}};
}

Result<std::optional<BootedImage>> Boot::Try(uint16_t entry) {
  const std::optional<Bytes> data = variables_.Get(BootEntryName(entry));
  if (!data) return {Refuse(entry, "no such entry")};
  const auto option = ParseLoadOption(*data);
  if (!option) return {Refuse(entry, option.error().ToString())};
  if (!option->active) return {Refuse(entry, "inactive")};
  SP_TRY(variables_.SetU16s("BootCurrent", kVolatile, {entry}));
  SP_TRY(ReadyToBoot());
  return Start(entry, *option);
}

std::vector<uint16_t> Boot::Candidates() {
  std::vector<uint16_t> out = variables_.GetU16s("BootNext");
  out.resize(std::min<size_t>(out.size(), 1));
  for (const uint16_t entry : variables_.GetU16s("BootOrder")) out.push_back(entry);
  return out;
}

Result<FirmwareResult> Boot::Run() {
  SP_TRY(MeasureFirmware());
  SP_TRY(MeasureSecureBootVariables());
  const std::vector<uint16_t> candidates = Candidates();
  // BootNext is gone before it is used: a trial that dies on the way is never tried twice
  // (UEFI 2.10, 3.1.2).
  if (variables_.Get("BootNext")) SP_TRY(variables_.Delete("BootNext"));
  std::optional<BootedImage> started;
  for (size_t i = 0; i < candidates.size() && !started; ++i) {
    SP_TRY(started, Try(candidates[i]));
  }
  return FirmwareResult{log_.bytes(), std::move(started), std::move(refusals_)};
}

}  // namespace

Result<FirmwareResult> RunFirmware(const FirmwareConfig& config, FileSystem& files, EsysTpm& tpm,
                                   Random& random) {
  SP_TRY(std::vector<PcrBankId> banks, tpm.LiveBanks());
  SP_TRY(FirmwareResult result, Boot(config, files, tpm, std::move(banks)).Run());
  std::array<uint8_t, 32> password;
  random.Fill(password);
  SP_TRY(tpm.LockPlatform(password));
  return result;
}

}  // namespace sallyport::node
