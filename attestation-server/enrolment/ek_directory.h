// The directory of a profile's accepted TPM vendors: CA certificates (PEM or DER) and revocation
// lists, loose or in one folder per vendor. A directory that `ek bundle import` wrote has a
// bundle.json that lists its files with their digests; then those count, and no others.
#pragma once

#include <string>
#include <vector>

#include "pki/base/file_system.h"
#include "pki/x509/ek_chain.h"

namespace sallyport::server {

inline constexpr std::string_view kEkBundleIndex = "bundle.json";

struct EkFile {
  std::string vendor;  // name of its folder; empty at the top
  std::string name;    // path below the directory
  Bytes bytes;
};

struct EkDirectory {
  std::vector<EkFile> certificates;
  std::vector<EkFile> revocation_lists;
  uint64_t version = 0;  // of bundle.json; 0 without one
};

// ReadEkDirectory takes files ending in .pem, .crt, .cer, .der (certificates) and .crl, and others
// that start as a certificate does; the rest is none of its business. Errors of the file system;
// kTooLarge "ek.root-count"; with a bundle.json: kMalformed when it does not read,
// kMismatch "ek.bundle-digest", kNotFound for a listed file that is gone.
Result<EkDirectory> ReadEkDirectory(FileSystem& files, const std::string& directory);

// LoadEkRoots reads a directory and makes its roots. Besides those errors: of EkRoots and EkCrl.
Result<pki::EkRoots> LoadEkRoots(FileSystem& files, const std::string& directory);

// WriteEkDirectory makes `content` what the directory holds: files first, then bundle.json in one
// atomic step, then the files of the bundle before are removed. A cut at any moment leaves the old
// or the new bundle. File names must tell their content apart. Errors of the file system.
Result<Unit> WriteEkDirectory(FileSystem& files, const std::string& directory,
                              const EkDirectory& content);

}  // namespace sallyport::server
