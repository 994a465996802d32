#include "ota/measure/uki.h"

#include <algorithm>
#include <array>

#include "ota/measure/authenticode.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

// The order in which systemd-stub 252 measures; .pcrsig is read but never measured.
constexpr std::array<std::string_view, 7> kMeasuredSections = {
    ".linux", ".osrel", ".cmdline", ".initrd", ".splash", ".dtb", ".pcrpkey"};
// systemd-pcrphase extends these words, in this order (systemd-pcrphase.service(8)).
constexpr std::array<std::string_view, 4> kBootPhases = {"enter-initrd", "leave-initrd", "sysinit",
                                                         "ready"};

// Memory is what the stub sees of a section: file bytes cut or zero-filled to VirtualSize.
Result<Bytes> Memory(const PeSection& section) {
  const size_t held = std::min<size_t>(section.virtual_size, section.raw.size());
  if (section.virtual_size - held > kSectionZeroFillMax)
    return Error{Reason::kTooLarge, "section " + section.name + " is mostly zeros",
                 "uki.zero-fill"};
  Bytes out = ToBytes(section.raw.first(held));
  out.resize(section.virtual_size);
  return out;
}

Result<std::vector<UkiSection>> ListSections(const PeImage& image) {
  std::vector<UkiSection> out;
  for (const PeSection& section : image.sections()) {
    const bool known =
        std::ranges::find(kMeasuredSections, section.name) != kMeasuredSections.end();
    if (known && image.Find(section.name) == nullptr)
      return Error{Reason::kMalformed, section.name + " occurs twice", "uki.duplicate-section"};
    if (!known) {
      out.push_back({section.name, section.virtual_size, pki::Sha256(section.raw), false});
      continue;
    }
    SP_TRY(const Bytes memory, Memory(section));
    out.push_back(
        {section.name, section.virtual_size, pki::Sha256(memory), section.virtual_size > 0});
  }
  return out;
}

std::vector<Sha256Digest> StubEvents(const std::vector<UkiSection>& sections) {
  std::vector<Sha256Digest> events;
  for (const std::string_view name : kMeasuredSections) {
    const auto found = std::ranges::find(sections, name, &UkiSection::name);
    if (found == sections.end() || !found->measured) continue;
    const std::array<uint8_t, 1> nul = {0};
    events.push_back(pki::Sha256({AsBytes(name), nul}));
    events.push_back(found->sha256);
  }
  return events;
}

std::vector<Pcr11Phase> Phases(std::vector<Sha256Digest> events) {
  std::vector<Pcr11Phase> out = {{":", ExtendAll(events)}};
  std::string path;
  for (const std::string_view phase : kBootPhases) {
    path += (path.empty() ? "" : ":") + std::string(phase);
    events.push_back(pki::Sha256(AsBytes(phase)));
    out.push_back({path, ExtendAll(events)});
  }
  return out;
}

// LoadOptions as the stub hands them over: UTF-16, little-endian, up to the first NUL,
// NUL-terminated.
Result<Bytes> LoadOptions(ByteView cmdline) {
  Bytes out;
  for (const uint8_t c : cmdline) {
    if (c == 0) break;
    if (c > 0x7e || (c < 0x20 && c != '\t' && c != '\n' && c != '\r'))
      return Error{Reason::kMalformed, "the command line is not printable ASCII", "uki.cmdline"};
    out.insert(out.end(), {c, 0});
  }
  out.insert(out.end(), {0, 0});
  return out;
}

Result<std::vector<Sha256Digest>> KernelEvents(const PeImage& image,
                                               const std::vector<UkiSection>& sections) {
  std::vector<Sha256Digest> events;
  Bytes cmdline;
  if (const PeSection* section = image.Find(".cmdline"); section != nullptr) {
    SP_TRY(cmdline, Memory(*section));
  }
  SP_TRY(const Bytes options, LoadOptions(cmdline));
  events.push_back(pki::Sha256(options));
  const auto initrd = std::ranges::find(sections, ".initrd", &UkiSection::name);
  if (initrd != sections.end() && initrd->measured) events.push_back(initrd->sha256);
  return events;
}

Result<Unit> MeasureKernel(const PeImage& image, const PeSection& linux_section,
                           UkiMeasurements& out) {
  SP_TRY(const Bytes memory, Memory(linux_section));
  auto kernel = PeImage::Parse(memory);
  if (!kernel)
    return Error{Reason::kMalformed, "the kernel is no PE image: " + kernel.error().ToString(),
                 "uki.linux"};
  out.pcr4_secure_boot_off.push_back(AuthenticodeSha256(*kernel));
  SP_TRY(out.pcr9, KernelEvents(image, out.sections));
  out.pcr11 = StubEvents(out.sections);
  out.pcr11_phases = Phases(out.pcr11);
  return Unit{};
}

}  // namespace

Sha256Digest ExtendAll(const std::vector<Sha256Digest>& events) {
  Sha256Digest value = Sha256Digest::FromArray({});
  for (const Sha256Digest& event : events) value = pki::Sha256({value.view(), event.view()});
  return value;
}

Result<UkiMeasurements> MeasureUki(ByteView file) {
  SP_TRY(const PeImage image, PeImage::Parse(file));
  const Sha256Digest authenticode = AuthenticodeSha256(image);
  SP_TRY(auto sections, ListSections(image));
  UkiMeasurements out{
      authenticode, std::move(sections), {authenticode}, {authenticode}, {}, {}, {}};
  const PeSection* linux_section = image.Find(".linux");
  if (linux_section != nullptr) SP_TRY(MeasureKernel(image, *linux_section, out));
  return out;
}

}  // namespace sallyport::ota
