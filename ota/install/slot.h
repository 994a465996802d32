// The two places an OS image can live in.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace sallyport::ota {

enum class Slot : uint8_t { kA = 0, kB = 1 };

constexpr Slot Other(Slot slot) { return slot == Slot::kA ? Slot::kB : Slot::kA; }
constexpr std::string_view SlotName(Slot slot) { return slot == Slot::kA ? "A" : "B"; }

}  // namespace sallyport::ota
