#include "pki/tpm/name.h"

namespace sallyport::pki {
namespace {

Bytes Tagged(HashAlgorithm algorithm, std::initializer_list<ByteView> parts) {
  ByteWriter writer;
  writer.BigU16(static_cast<uint16_t>(algorithm)).Raw(Hash(algorithm, parts));
  return std::move(writer).Take();
}

}  // namespace

Bytes ObjectName(const PublicArea& area) { return Tagged(area.name_alg, {area.Marshal()}); }

Bytes PrimaryQualifiedName(HashAlgorithm name_alg, uint32_t hierarchy, ByteView name) {
  ByteWriter parent;
  parent.BigU32(hierarchy);
  return ChildQualifiedName(name_alg, parent.bytes(), name);
}

Bytes ChildQualifiedName(HashAlgorithm name_alg, ByteView parent_qualified_name, ByteView name) {
  return Tagged(name_alg, {parent_qualified_name, name});
}

}  // namespace sallyport::pki
