#include "tests/fakes/sealed_release.h"

#include "ota/payload/sealing.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/install_plan_for_test.h"

namespace sallyport {
namespace {

struct Sealed {
  Bytes index;
  Bytes payload;
};

template <typename Table>
using SealTable = Result<Table> (*)(const Table&, File&, File&, const pki::ContentSeal&);

template <typename Table>
Sealed SealFiles(ByteView index, ByteView payload, SealTable<Table> seal_table,
                 const pki::ContentSeal& seal) {
  MemoryFileSystem files;
  const auto in = *files.Open("in", OpenMode::kCreate);
  const auto out = *files.Open("out", OpenMode::kCreate);
  SP_CHECK(in->WriteAt(0, payload).has_value());
  const auto sealed = seal_table(*Table::Parse(index), *in, *out, seal);
  SP_CHECK(sealed.has_value());
  const auto encode = [&] {
    if constexpr (std::is_same_v<Table, ota::SegmentTable>)
      return ToBytes(sealed->ToJson());
    else
      return sealed->Encode();
  };
  return {ota::SealIndex(encode(), seal), *ReadFile(files, "out", uint64_t{1} << 30)};
}

void Describe(ota::RemoteFile& file, ByteView bytes) {
  file.length = bytes.size();
  file.sha256 = pki::Sha256(bytes);
}

template <typename Table>
void SealMore(TestRelease& release, ota::RemoteFile& index, ota::RemoteFile& payload,
              SealTable<Table> seal_table, const pki::ContentSeal& seal) {
  Sealed sealed = SealFiles<Table>(release.more.at(index.path), release.more.at(payload.path),
                                   seal_table, seal);
  Describe(index, sealed.index);
  Describe(payload, sealed.payload);
  release.more[index.path] = std::move(sealed.index);
  release.more[payload.path] = std::move(sealed.payload);
}

}  // namespace

TestRelease SealForTest(TestRelease release, const pki::ContentSeal& seal) {
  ota::InstallFacts facts = release.plan.facts();
  facts.content_key = seal.id();
  Sealed full = SealFiles<ota::SegmentTable>(AsBytes(release.index), release.payload,
                                             ota::SealSegments, seal);
  Describe(facts.index, full.index);
  Describe(facts.payload, full.payload);
  release.index = ToString(full.index);
  release.payload = std::move(full.payload);
  for (ota::RemoteDelta& delta : facts.deltas)
    SealMore<ota::SegmentTable>(release, delta.index, delta.payload, ota::SealSegments, seal);
  if (facts.chunks)
    SealMore<ota::ChunkTable>(release, facts.chunks->index, facts.chunks->payload, ota::SealChunks,
                              seal);
  release.plan = ota::InstallPlanForTest::Make(std::move(facts), release.plan.local_commit());
  return release;
}

}  // namespace sallyport
