#include "tests/node/partition_table.h"

#include <algorithm>

#include "pki/crypto/hash.h"

namespace sallyport::node {
namespace {

constexpr Guid kEspType{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                        0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
constexpr Guid kRootType{0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
                         0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09};
constexpr Guid kDataType{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
                         0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};
constexpr uint64_t kFirstUsableBlock = 2048;  // partitions start at 1 MiB
constexpr uint64_t kEspBlocks = (64 << 20) / kBlockBytes;
constexpr uint64_t kStateBlocks = (16 << 20) / kBlockBytes;
constexpr uint64_t kTableBlocks = 33;  // header and entries, mirrored at the end
constexpr uint32_t kEntries = 128;
constexpr uint32_t kEntryBytes = 128;
constexpr uint32_t kHeaderBytes = 92;
constexpr size_t kNameBytes = 72;

Guid Derive(std::string_view node_name, std::string_view what) {
  const Sha256Digest digest = pki::LabelledDigest(what, {AsBytes(node_name)});
  Guid guid;
  std::copy_n(digest.view().begin(), guid.size(), guid.begin());
  return guid;
}

uint32_t Crc32(ByteView bytes) {
  uint32_t crc = ~0u;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

Bytes Entry(const Partition& partition) {
  Bytes name = Utf16(partition.name);
  name.resize(kNameBytes);
  ByteWriter out;
  out.Raw(partition.type)
      .Raw(partition.guid)
      .LittleU64(partition.first_block)
      .LittleU64(partition.last_block);
  return std::move(out.LittleU64(0).Raw(name)).Take();
}

Bytes Header(const Disk& disk, uint32_t entries_crc, uint32_t own_crc) {
  ByteWriter out;
  out.Raw(AsBytes("EFI PART"))
      .LittleU32(0x00010000)
      .LittleU32(kHeaderBytes)
      .LittleU32(own_crc)
      .LittleU32(0);
  out.LittleU64(1)
      .LittleU64(disk.blocks - 1)
      .LittleU64(kTableBlocks + 1)
      .LittleU64(disk.blocks - kTableBlocks - 1);
  out.Raw(disk.guid).LittleU64(2).LittleU32(kEntries).LittleU32(kEntryBytes).LittleU32(entries_crc);
  return std::move(out).Take();
}

}  // namespace

Disk Disk::Of(std::string_view node_name, uint64_t slot_bytes) {
  const uint64_t slot_blocks = (slot_bytes + kBlockBytes - 1) / kBlockBytes;
  Disk disk{Derive(node_name, "disk"), 0, {}};
  uint64_t next = kFirstUsableBlock;
  const auto add = [&](std::string name, const Guid& type, uint64_t blocks) {
    const Guid guid = Derive(node_name, name);
    disk.partitions.push_back({std::move(name), type, guid, next, next + blocks - 1});
    next += blocks;
  };
  add("esp", kEspType, kEspBlocks);
  add("root-a", kRootType, slot_blocks);
  add("root-b", kRootType, slot_blocks);
  add("state", kDataType, kStateBlocks);
  disk.blocks = next + kTableBlocks;
  return disk;
}

Bytes GptEvent(const Disk& disk) {
  Bytes used;
  for (const Partition& partition : disk.partitions) Append(used, Entry(partition));
  Bytes all = used;
  all.resize(size_t{kEntries} * kEntryBytes);
  const uint32_t entries_crc = Crc32(all);
  const uint32_t header_crc = Crc32(Header(disk, entries_crc, 0));
  ByteWriter out;
  out.Raw(Header(disk, entries_crc, header_crc)).LittleU64(disk.partitions.size()).Raw(used);
  return std::move(out).Take();
}

}  // namespace sallyport::node
