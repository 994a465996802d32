// Difference: new bytes as approximate matches in a pool (Percival 2003). Pure.
#pragma once

#include <vector>

#include "ota/delta/source_pool.h"
#include "ota/payload/patch.h"

namespace sallyport::ota {

// OldOp is an instruction whose source is an offset of the old image.
struct OldOp {
  PatchOp::Kind kind;
  uint64_t length;
  uint64_t offset = 0;
};

// AppendDifference describes `fresh` completely. `hint` is where in the pool its first byte may
// continue. Deterministic.
void AppendDifference(ByteView fresh, const SourcePool& pool, std::optional<size_t> hint,
                      std::vector<OldOp>& ops);

}  // namespace sallyport::ota
