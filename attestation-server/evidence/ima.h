// Judging the files that a system ran: the measurement list of Linux IMA, as far as it replays to
// the quoted PCR 10, against the files and signers that the references allow. Pure; thread-safe.
//
// The list only grows within a boot, so a device sends what is new. ImaStart is where the judged
// part ended: the entries before it were judged under the same references.
//
// What this proves: every file that the kernel's IMA policy measured, up to the quote, is allowed.
// What the kernel measures is its policy's matter: its command line and image are judged elsewhere.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "attestation-server/evidence/appraise.h"
#include "attestation-server/evidence/ima_entry.h"

namespace sallyport::server {

inline constexpr uint32_t kImaPcr = 10;
// PCR 10, and 0 to 9, which boot_aggregate is the hash of: what must be quoted.
inline constexpr uint32_t kImaPcrMask = 0x7FF;
// Signatures checked for one proof: half a second of RSA-2048 at worst. Files allowed by their
// digest need none.
inline constexpr size_t kImaSignaturesMax = 16'384;
// Files shown of a refused list; one would do, a few say what happened.
inline constexpr size_t kImaDifferencesMax = 8;

// ImaFiles finds file digests of any algorithm without copying them.
struct ImaDigestHash {
  using is_transparent = void;
  size_t operator()(std::string_view digest) const { return std::hash<std::string_view>{}(digest); }
};
using ImaFiles = std::unordered_set<std::string, ImaDigestHash, std::equal_to<>>;

// ImaSigner: key_id is the one in the signatures (`evmctl` prints it); it selects, the key proves.
struct ImaSigner {
  uint32_t key_id;
  pki::PublicKey key;
  std::string what;
};

// ImaExpected is the section `ima` of one reference file.
struct ImaExpected {
  ImaFiles files;  // raw digests, SHA-256 and longer
  std::vector<ImaSigner> signers;
  Sha256Digest hash = Sha256Digest::FromArray({});  // of the reference file that holds it
};

// ImaReferences: a file is allowed when any part allows it. The parts are shared with a cache.
struct ImaReferences {
  std::vector<std::shared_ptr<const ImaExpected>> parts;

  // Of collects what the alternatives of a device allow, each part once.
  static ImaReferences Of(std::span<const Candidate> candidates);
  bool Allows(ByteView digest) const;
  std::vector<const ImaSigner*> SignersOf(uint32_t key_id) const;
  // Hash names this set of parts, in whatever order.
  Sha256Digest Hash() const;
};

// ImaStart is a replay state: PCR 10 after `entries` entries of the boot. Without a boot id it is
// the start of any boot.
struct ImaStart {
  uint64_t entries = 0;
  PcrDigest aggregate;  // of the judged bank
  std::optional<BootId> boot_id = {};
  Sha256Digest references = Sha256Digest::FromArray({});

  static ImaStart OfBoot(Bank bank) { return {0, PcrDigest::Filled(bank, 0)}; }
};

// ImaInput borrows `list`: whole entries from number `first` on.
struct ImaInput {
  uint64_t first = 0;
  ByteView list;
};

// ImaExpectation borrows `references`.
struct ImaExpectation {
  ImaStart start;
  const ImaReferences* references = nullptr;
};

struct ImaOutcome {
  ImaStart end;  // where the next proof goes on; of passing evidence only
  std::vector<EventDifference> diff;
};

// Rules of CheckIma, in the order in which they run:
//   ima.present         the device sent its list
//   ima.reference       a reference in force lists files or signers
//   ima.continuation    it goes on where the last one ended, in this boot, under these references;
//                       when not, nothing is said about the device: it sends the whole list
//   ima.size            of at most kMeasurementListBytesMax
//   ima.structure, ima.template, ima.fields, ima.pcr    entries of ima-ng and ima-sig for PCR 10
//   ima.replay          after some entry they replay to the quoted PCR 10; what is behind it is
//   left
//                       for the next time, and the rules below do not look at it
//   ima.boot-aggregate  the first entry of the boot is the hash of the quoted PCR 0 to 9
//   ima.violation       no file changed while it was measured
//   ima.hash            no file is known by SHA-1 or MD5 alone
//   ima.signature       of what claims to be signed by a listed signer, and is not listed itself
//   ima.file            every file is listed, or signed by a listed signer
std::span<const std::string_view> ImaRules();

// CheckIma decides them in `checks` (which must hold them). `input` is null when nothing was sent.
std::optional<ImaOutcome> CheckIma(const AuthenticatedPcrs& pcrs, const BootId& boot_id,
                                   const ImaInput* input, const ImaExpectation& expected,
                                   CheckList& checks);

}  // namespace sallyport::server
