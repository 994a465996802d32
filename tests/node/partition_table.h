// The node's disk as firmware sees it: a GPT with an EFI system partition, two slots and a state
// partition.
#pragma once

#include <string>
#include <vector>

#include "tests/node/efi_variables.h"

namespace sallyport::node {

inline constexpr uint64_t kBlockBytes = 512;

struct Partition {
  std::string name;
  Guid type;
  Guid guid;
  uint64_t first_block;
  uint64_t last_block;
};

// Disk is the layout of one node; GUIDs are derived from its name, so that PCR 5 differs from node
// to node.
struct Disk {
  Guid guid;
  uint64_t blocks;
  std::vector<Partition> partitions;  // esp, root-a, root-b, state

  static Disk Of(std::string_view node_name, uint64_t slot_bytes);
};

// GptEvent is UEFI_GPT_DATA: the table's header, the number of used entries, and those entries.
Bytes GptEvent(const Disk& disk);

}  // namespace sallyport::node
