// References: the relative addresses in machine code. When a program is built again, code moves,
// and every call, jump and access to data says a little less or more than before. Where the pieces
// of the old program went is known, so that most of these addresses can be computed instead of
// corrected. A guess by bytes: what is no instruction is only predicted badly. Pure.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ota/payload/patch.h"

namespace sallyport::ota {

// Machine is whose instructions are predicted.
enum class Machine : uint8_t { kX86, kAarch64 };

// Landings say where the pieces of a source went in the segment. Immutable; thread-safe.
class Landings {
 public:
  explicit Landings(const std::vector<PatchOp>& ops);
  // Find maps a place in the source; nullopt where no copy or add comes from. Of two that overlap
  // the later one in the segment counts, if it begins later in the source.
  std::optional<int64_t> Find(int64_t source) const;

 private:
  struct Landing {
    int64_t source;
    int64_t length;
    int64_t segment;
  };
  std::vector<Landing> landings_;
};

// PredictReferences changes `piece`, a copy of what lies at `source` in the source and comes to
// `segment` in the segment, so that its references point where their targets went. Total: any bytes
// at any place; time and memory are linear in the piece.
void PredictReferences(Machine machine, std::span<uint8_t> piece, int64_t source, int64_t segment,
                       const Landings& landings);

}  // namespace sallyport::ota
