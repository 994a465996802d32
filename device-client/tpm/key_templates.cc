#include "device-client/tpm/key_templates.h"

namespace sallyport::device {
namespace {

namespace tpm = pki::tpm;

constexpr size_t kCoordinateBytes = 32;
constexpr uint32_t kSigningKey = tpm::kFixedTpm | tpm::kFixedParent | tpm::kSensitiveDataOrigin |
                                 tpm::kUserWithAuth | tpm::kNoDa | tpm::kSign;

pki::PublicArea P256Signer(uint32_t attributes, ByteView x, ByteView y) {
  return {.name_alg = pki::HashAlgorithm::kSha256,
          .attributes = attributes,
          .auth_policy = {},
          .symmetric_bits = std::nullopt,
          .scheme = pki::KeyScheme{pki::SignatureScheme::kEcdsa, pki::HashAlgorithm::kSha256},
          .unique = pki::EccUnique{tpm::kCurveP256, ToBytes(x), ToBytes(y)}};
}

}  // namespace

pki::PublicArea AkTemplate() {
  const Sha256Digest label = pki::LabelledDigest("sallyport/ak/v1", {});
  return P256Signer(kSigningKey | tpm::kRestricted, label.view(), Bytes(kCoordinateBytes, 0));
}

pki::PublicArea TlsKeyTemplate(ByteView entropy) {
  SP_CHECK(entropy.size() == 2 * kCoordinateBytes);
  return P256Signer(kSigningKey, entropy.first(kCoordinateBytes), entropy.last(kCoordinateBytes));
}

}  // namespace sallyport::device
