// The references of AArch64 code (Arm ARM C4.1): calls and jumps, near conditional branches, and
// pages with the offsets of the instructions that use them. docs/protocol.md, Release, has the
// exact rules, which both sides must follow. Used by ota/payload/references.h only. Pure.
#pragma once

#include "ota/payload/references.h"

namespace sallyport::ota {

// PredictAarch64 is PredictReferences for Machine::kAarch64. A piece that does not move by whole
// instructions stays as it is, and so do its bytes that are no whole instruction.
void PredictAarch64(std::span<uint8_t> piece, int64_t source, int64_t segment,
                    const Landings& landings);

}  // namespace sallyport::ota
