// What a TPM is and how far a reset of it within a boot would be seen: recorded with a device, said
// to operators, and never taken for more than it is. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

namespace sallyport::server {

// TpmKind says which attacks are left: a discrete TPM sits on a bus that can be read, changed and
// reset from outside; one in firmware shares the processor's faults; a virtual one is whatever its
// host says.
enum class TpmKind : uint8_t { kUnknown, kDiscrete, kFirmware, kVirtual };

// KindOfTpm knows vendors that make TPMs of one kind only, by the manufacturer of the EK
// certificate
// ("id:" and eight hex digits, TCG Vendor ID Registry). Everything else is kUnknown.
TpmKind KindOfTpm(std::string_view ek_manufacturer);

// NullNameState: whether the last boot showed that the TPM was not reset since its kernel started.
enum class NullNameState : uint8_t { kUnknown, kNotOffered, kCertified };

}  // namespace sallyport::server
