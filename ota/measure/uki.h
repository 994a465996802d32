// What a unified kernel image will make firmware and systemd-stub (252) measure, computed from its
// bytes alone, so that a release can carry the event digests it will produce. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ota/measure/pe_image.h"
#include "pki/base/digest.h"

namespace sallyport::ota {

// A section may declare more memory than file bytes; the stub measures the zeros. More than this is
// refused.
inline constexpr uint32_t kSectionZeroFillMax = 16u << 20;

struct UkiSection {
  std::string name;
  uint32_t size;        // in memory, bytes
  Sha256Digest sha256;  // of the memory; of the file bytes when the stub does not know the section
  bool measured;        // extends PCR 11
};

// Pcr11Phase is the value of PCR 11 after a boot phase; `path` is spelled as systemd-measure does
// ("enter-initrd:leave-initrd"), ":" before the first phase.
struct Pcr11Phase {
  std::string path;
  Sha256Digest value;
};

// UkiMeasurements of a UKI, or of any EFI application (then pcr9 and pcr11 are empty).
struct UkiMeasurements {
  Sha256Digest authenticode;
  std::vector<UkiSection> sections;
  // EV_EFI_BOOT_SERVICES_APPLICATION digests of PCR 4 in order. With Secure Boot on the stub loads
  // the kernel itself and the kernel's event is absent.
  std::vector<Sha256Digest> pcr4_secure_boot_off;
  std::vector<Sha256Digest> pcr4_secure_boot_on;
  // EV_EVENT_TAG digests of the kernel's EFI stub: load options, initrd.
  std::vector<Sha256Digest> pcr9;
  // EV_IPL digests of the stub: name and content of each measured section.
  std::vector<Sha256Digest> pcr11;
  std::vector<Pcr11Phase> pcr11_phases;
};

// MeasureUki returns kMalformed with the rules of PeImage::Parse, uki.duplicate-section,
// uki.cmdline (not printable ASCII), uki.linux (the kernel is no PE image), or kTooLarge with
// uki.zero-fill.
Result<UkiMeasurements> MeasureUki(ByteView file);

// ExtendAll replays event digests from 32 zero bytes: H(previous || digest).
Sha256Digest ExtendAll(const std::vector<Sha256Digest>& events);

}  // namespace sallyport::ota
