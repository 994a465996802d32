// Vendor bundles: the CA certificates of TPM vendors that an operator pins, screened before they
// are believed. Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pki/base/time.h"
#include "pki/x509/ek_crl.h"

namespace sallyport::pki {

// EkBundleFile is one file of a bundle: certificates or revocation lists, PEM or DER.
struct EkBundleFile {
  std::string vendor;  // id of its folder ("IFX"); empty: taken from the certificate
  std::string name;    // for people
  Bytes bytes;
  bool revocation_list = false;
};

struct EkBundleEntry {
  std::string vendor;
  std::string subject;
  bool anchor = false;  // self-issued, or its issuer is not in the bundle
  UnixTime not_after;   // of a list: when the next one is due
  Bytes der;
};

struct EkBundleRefusal {
  std::string file;
  std::string subject;  // empty when it does not read
  std::string_view rule;
  std::string detail;
};

struct EkBundle {
  std::vector<EkBundleEntry> certificates;  // by vendor and subject, none twice
  std::vector<EkBundleEntry> lists;
  std::vector<EkBundleRefusal> refused;
};

// ScreenEkBundle judges every certificate and list of `files` at `now`:
//   bundle.certificate     it does not read
//   bundle.not-ca          no basicConstraints CA, or a keyUsage without keyCertSign
//   bundle.expired, bundle.not-yet-valid
//   bundle.weak-key        RSA below 2048 bits, EC below 256, others
//   bundle.weak-signature  an intermediate signed with SHA-1 or MD5: its chain would be refused
//   bundle.signature       a root that did not sign itself; an intermediate that no certificate of
//   its
//                          issuer's name in the bundle has signed
//   bundle.orphan          an intermediate whose issuer was refused
//   bundle.list            a list that does not read, is stale or whose issuer in the bundle did
//   not
//                          sign it
EkBundle ScreenEkBundle(std::span<const EkBundleFile> files, UnixTime now);

}  // namespace sallyport::pki
