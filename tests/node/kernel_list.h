// KernelList is what Linux IMA does on a virtual node: it lists each file before it runs, and
// extends PCR 10 with the hash of the entry.
#pragma once

#include <string>

#include "pki/base/file_system.h"
#include "tests/node/esys_tpm.h"

namespace sallyport::node {

// KernelList borrows its parts; one thread at a time.
class KernelList {
 public:
  KernelList(FileSystem& files, EsysTpm& tpm, std::string path)
      : files_(files), tpm_(tpm), path_(std::move(path)) {}

  // Begin starts the list of a boot with boot_aggregate over PCR 0 to 9.
  Result<Unit> Begin();
  // Measure is a file of this content that is about to run. Template ima-ng.
  Result<Unit> Measure(const std::string& file, ByteView content);

 private:
  Result<Unit> Append(const std::string& file, const Sha256Digest& digest, Bytes list);

  FileSystem& files_;
  EsysTpm& tpm_;
  const std::string path_;
};

}  // namespace sallyport::node
