// ImaListBuilder writes measurement lists as the kernel does, and what PCR 10 holds after them.
#pragma once

#include "attestation-server/evidence/ima.h"
#include "pki/crypto/hash.h"
#include "pki/crypto/legacy_hash.h"

namespace sallyport::server {

class ImaListBuilder {
 public:
  explicit ImaListBuilder(pki::HashAlgorithm bank = pki::HashAlgorithm::kSha256) : bank_(bank) {}

  static Bytes FileDigest(std::string_view content) {
    return ToBytes(pki::Sha256(AsBytes(content)).view());
  }
  // Data is template data of ima-ng, or of ima-sig when `signature` is given.
  static Bytes Data(std::string_view algorithm, ByteView digest, std::string_view path,
                    const std::optional<Bytes>& signature) {
    ByteWriter out;
    out.LittleU32(static_cast<uint32_t>(algorithm.size() + 2 + digest.size()));
    out.Raw(AsBytes(algorithm)).U8(':').U8(0).Raw(digest);
    out.LittleU32(static_cast<uint32_t>(path.size() + 1)).Raw(AsBytes(path)).U8(0);
    if (signature) out.LittleU32(static_cast<uint32_t>(signature->size())).Raw(*signature);
    return std::move(out).Take();
  }

  ImaListBuilder& Entry(std::string_view name, const Bytes& data, uint32_t pcr = kImaPcr,
                        bool violation = false) {
    const Bytes digest =
        violation ? Bytes(pki::kTemplateDigestBytes, 0) : ToBytes(pki::Sha1ForInspection({data}));
    pki::WriteMeasuredEntry({pcr, digest, name, data}, out_);
    const Bytes extended =
        violation ? Bytes(pki::DigestSize(bank_), 0xFF) : pki::Hash(bank_, {data});
    pcr_ = pki::Hash(bank_, {pcr_.empty() ? Bytes(pki::DigestSize(bank_), 0) : pcr_, extended});
    ++entries_;
    return *this;
  }
  ImaListBuilder& File(std::string_view path, std::string_view content) {
    return Entry("ima-ng", Data("sha256", FileDigest(content), path, std::nullopt));
  }
  ImaListBuilder& Signed(std::string_view path, std::string_view content, const Bytes& signature) {
    return Entry("ima-sig", Data("sha256", FileDigest(content), path, signature));
  }
  ImaListBuilder& Violation(std::string_view path) {
    return Entry("ima-ng", Data("sha256", Bytes(32, 0), path, std::nullopt), kImaPcr, true);
  }
  // BootAggregate hashes PCR 0 to 9 that hold `pcrs`.
  ImaListBuilder& BootAggregate(const std::vector<Bytes>& pcrs) {
    pki::Hasher hasher(bank_);
    for (const Bytes& pcr : pcrs) hasher.Update(pcr);
    return Entry("ima-ng",
                 Data(pki::HashName(bank_), hasher.Finish(), kBootAggregate, std::nullopt));
  }

  const Bytes& list() const { return out_.bytes(); }
  PcrDigest pcr() const {
    return pcr_.empty() ? PcrDigest::Filled(BankOf(bank_), 0) : PcrDigest::Of(pcr_);
  }
  uint64_t entries() const { return entries_; }

 private:
  pki::HashAlgorithm bank_;
  ByteWriter out_;
  Bytes pcr_;
  uint64_t entries_ = 0;
};

}  // namespace sallyport::server
