// Names (TPM 2.0 Part 1, 16) and Qualified Names: which key, and under which parents. A Name is
// always computed from a public area, never taken from a message. Pure; thread-safe.
#pragma once

#include "pki/tpm/public_area.h"

namespace sallyport::pki {

inline constexpr size_t kNameBytesMax = 2 + 64;  // algorithm id and the largest digest

// ObjectName = nameAlg || H_nameAlg(TPMT_PUBLIC).
Bytes ObjectName(const PublicArea& area);

// PrimaryQualifiedName of a primary key named `name` of `hierarchy` (tpm::kEndorsement, ...):
// nameAlg || H_nameAlg(u32 hierarchy || name).
Bytes PrimaryQualifiedName(HashAlgorithm name_alg, uint32_t hierarchy, ByteView name);

// ChildQualifiedName = nameAlg || H_nameAlg(parent's Qualified Name || name).
Bytes ChildQualifiedName(HashAlgorithm name_alg, ByteView parent_qualified_name, ByteView name);

}  // namespace sallyport::pki
