#include "tests/node/esys_tpm.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include <algorithm>

#include "pki/crypto/signature.h"

namespace sallyport::node {
namespace {

// PolicySecret(TPM_RH_ENDORSEMENT), TCG EK Credential Profile 2.5, B.6.2.
constexpr std::array<uint8_t, 32> kEkPolicy{
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
constexpr TPMA_OBJECT kEkAttributes =
    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
    TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
constexpr size_t kNvWriteBytesMax = 512;  // one TPM2_NV_Write; swtpm allows 1024, small TPMs less

template <typename T>
struct EsysFree {
  void operator()(T* pointer) const { Esys_Free(pointer); }
};
template <typename T>
using EsysOwned = std::unique_ptr<T, EsysFree<T>>;

Result<Unit> Check(TSS2_RC rc, const char* command) {
  if (rc == TSS2_RC_SUCCESS) return Ok();
  return Error{Reason::kUnavailable, std::string(command) + ": " + Tss2_RC_Decode(rc)};
}

TPMT_PUBLIC EkTemplate(EkKind kind) {
  TPMT_PUBLIC area{};
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = kEkAttributes;
  area.authPolicy.size = kEkPolicy.size();
  std::ranges::copy(kEkPolicy, area.authPolicy.buffer);
  TPMT_SYM_DEF_OBJECT aes{};
  aes.algorithm = TPM2_ALG_AES;
  aes.keyBits.aes = 128;
  aes.mode.aes = TPM2_ALG_CFB;
  if (kind == EkKind::kRsa2048) {
    area.type = TPM2_ALG_RSA;
    area.parameters.rsaDetail.symmetric = aes;
    area.parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
    area.parameters.rsaDetail.keyBits = 2048;
    area.unique.rsa.size = 256;
  } else {
    area.type = TPM2_ALG_ECC;
    area.parameters.eccDetail.symmetric = aes;
    area.parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    area.parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
    area.parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    area.unique.ecc.x.size = 32;
    area.unique.ecc.y.size = 32;
  }
  return area;
}

Result<Bytes> Spki(const TPMT_PUBLIC& area) {
  if (area.type == TPM2_ALG_RSA) {
    const auto& modulus = area.unique.rsa;
    SP_TRY(const auto key, pki::PublicKey::FromRsa({modulus.buffer, modulus.size}, 65537));
    return key.spki();
  }
  const auto& point = area.unique.ecc;
  SP_TRY(const auto key, pki::PublicKey::FromP256Point({point.x.buffer, point.x.size},
                                                       {point.y.buffer, point.y.size}));
  return key.spki();
}

}  // namespace

struct EsysTpm::State {
  TSS2_TCTI_CONTEXT* tcti = nullptr;
  ESYS_CONTEXT* esys = nullptr;
  ~State() {
    Esys_Finalize(&esys);
    Tss2_TctiLdr_Finalize(&tcti);
  }
};

EsysTpm::EsysTpm(std::unique_ptr<State> state) : state_(std::move(state)) {}
EsysTpm::EsysTpm(EsysTpm&&) noexcept = default;
EsysTpm& EsysTpm::operator=(EsysTpm&&) noexcept = default;
EsysTpm::~EsysTpm() = default;

Result<EsysTpm> EsysTpm::Connect(const std::string& tcti) {
  auto state = std::make_unique<State>();
  SP_TRY(Check(Tss2_TctiLdr_Initialize(tcti.c_str(), &state->tcti), "tcti"));
  SP_TRY(Check(Esys_Initialize(&state->esys, state->tcti, nullptr), "esys"));
  return EsysTpm(std::move(state));
}

Result<Unit> EsysTpm::OnlySha256Bank() {
  TPML_PCR_SELECTION banks{};
  banks.count = 4;
  const TPMI_ALG_HASH algorithms[] = {TPM2_ALG_SHA1, TPM2_ALG_SHA256, TPM2_ALG_SHA384,
                                      TPM2_ALG_SHA512};
  for (size_t i = 0; i < banks.count; ++i) {
    banks.pcrSelections[i].hash = algorithms[i];
    banks.pcrSelections[i].sizeofSelect = 3;
    if (algorithms[i] == TPM2_ALG_SHA256)
      std::ranges::fill(banks.pcrSelections[i].pcrSelect, uint8_t{0xff});
  }
  TPMI_YES_NO accepted = TPM2_NO;
  uint32_t pcrs_max = 0, size_needed = 0, size_available = 0;
  SP_TRY(Check(
      Esys_PCR_Allocate(state_->esys, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                        ESYS_TR_NONE, &banks, &accepted, &pcrs_max, &size_needed, &size_available),
      "TPM2_PCR_Allocate"));
  if (accepted != TPM2_YES)
    return Error{Reason::kUnavailable, "TPM2_PCR_Allocate: allocation not accepted"};
  return Ok();
}

Result<Bytes> EsysTpm::EkSpki(EkKind kind) {
  TPM2B_PUBLIC area{};
  area.publicArea = EkTemplate(kind);
  const TPM2B_SENSITIVE_CREATE sensitive{};
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION pcrs{};
  ESYS_TR handle = ESYS_TR_NONE;
  TPM2B_PUBLIC* made = nullptr;
  SP_TRY(Check(Esys_CreatePrimary(state_->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                  ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &area, &outside, &pcrs,
                                  &handle, &made, nullptr, nullptr, nullptr),
               "TPM2_CreatePrimary"));
  const EsysOwned<TPM2B_PUBLIC> owned(made);
  SP_TRY(Check(Esys_FlushContext(state_->esys, handle), "TPM2_FlushContext"));
  return Spki(made->publicArea);
}

Result<Bytes> EsysTpm::MakeIak(uint32_t handle) {
  TPM2B_PUBLIC area{};
  TPMT_PUBLIC& key = area.publicArea;
  key = EkTemplate(EkKind::kP256);
  key.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                         TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                         TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT;
  key.authPolicy.size = 0;
  key.parameters.eccDetail.symmetric = {};
  key.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
  key.parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
  key.parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
  key.unique.ecc.x.buffer[0] = 'I';
  const TPM2B_SENSITIVE_CREATE sensitive{};
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION pcrs{};
  ESYS_TR made = ESYS_TR_NONE, persistent = ESYS_TR_NONE;
  TPM2B_PUBLIC* out = nullptr;
  SP_TRY(Check(Esys_CreatePrimary(state_->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                  ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &area, &outside, &pcrs,
                                  &made, &out, nullptr, nullptr, nullptr),
               "TPM2_CreatePrimary"));
  const EsysOwned<TPM2B_PUBLIC> owned(out);
  SP_TRY(Check(Esys_EvictControl(state_->esys, ESYS_TR_RH_OWNER, made, ESYS_TR_PASSWORD,
                                 ESYS_TR_NONE, ESYS_TR_NONE, handle, &persistent),
               "TPM2_EvictControl"));
  SP_TRY(Check(Esys_FlushContext(state_->esys, made), "TPM2_FlushContext"));
  return Spki(out->publicArea);
}

Result<Unit> EsysTpm::WriteCertificate(uint32_t nv_index, ByteView certificate) {
  ESYS_CONTEXT* esys = state_->esys;
  ESYS_TR handle = ESYS_TR_NONE;
  if (Esys_TR_FromTPMPublic(esys, nv_index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &handle) ==
      TSS2_RC_SUCCESS)
    SP_TRY(Check(Esys_NV_UndefineSpace(esys, ESYS_TR_RH_PLATFORM, handle, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE),
                 "TPM2_NV_UndefineSpace"));
  TPM2B_NV_PUBLIC area{};
  area.nvPublic.nvIndex = nv_index;
  area.nvPublic.nameAlg = TPM2_ALG_SHA256;
  area.nvPublic.attributes = TPMA_NV_PPWRITE | TPMA_NV_WRITEDEFINE | TPMA_NV_PPREAD |
                             TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA |
                             TPMA_NV_PLATFORMCREATE;
  area.nvPublic.dataSize = static_cast<uint16_t>(certificate.size());
  const TPM2B_AUTH no_auth{};
  SP_TRY(Check(Esys_NV_DefineSpace(esys, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                   ESYS_TR_NONE, &no_auth, &area, &handle),
               "TPM2_NV_DefineSpace"));
  for (size_t offset = 0; offset < certificate.size(); offset += kNvWriteBytesMax) {
    const ByteView part =
        certificate.subspan(offset, std::min(kNvWriteBytesMax, certificate.size() - offset));
    TPM2B_MAX_NV_BUFFER data{};
    data.size = static_cast<uint16_t>(part.size());
    std::ranges::copy(part, data.buffer);
    SP_TRY(Check(Esys_NV_Write(esys, ESYS_TR_RH_PLATFORM, handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                               ESYS_TR_NONE, &data, static_cast<uint16_t>(offset)),
                 "TPM2_NV_Write"));
  }
  return Ok();
}

Result<Unit> EsysTpm::LockPlatform(ByteView password) {
  TPM2B_AUTH auth{};
  SP_CHECK(password.size() <= sizeof(auth.buffer));
  auth.size = static_cast<uint16_t>(password.size());
  std::ranges::copy(password, auth.buffer);
  return Check(Esys_HierarchyChangeAuth(state_->esys, ESYS_TR_RH_PLATFORM, ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, ESYS_TR_NONE, &auth),
               "TPM2_HierarchyChangeAuth");
}

Result<Unit> EsysTpm::Extend(uint32_t pcr, const Sha256Digest& digest) {
  TPML_DIGEST_VALUES values{};
  values.count = 1;
  values.digests[0].hashAlg = TPM2_ALG_SHA256;
  std::ranges::copy(digest.view(), values.digests[0].digest.sha256);
  return Check(
      Esys_PCR_Extend(state_->esys, pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &values),
      "TPM2_PCR_Extend");
}

Result<Sha256Digest> EsysTpm::ReadPcr(uint32_t pcr) {
  TPML_PCR_SELECTION selection{};
  selection.count = 1;
  selection.pcrSelections[0].hash = TPM2_ALG_SHA256;
  selection.pcrSelections[0].sizeofSelect = 3;
  selection.pcrSelections[0].pcrSelect[pcr / 8] = static_cast<uint8_t>(1u << (pcr % 8));
  TPML_DIGEST* values = nullptr;
  SP_TRY(Check(Esys_PCR_Read(state_->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection,
                             nullptr, nullptr, &values),
               "TPM2_PCR_Read"));
  const EsysOwned<TPML_DIGEST> owned(values);
  if (values->count != 1)
    return Error{Reason::kUnavailable, "TPM2_PCR_Read: no such PCR in the SHA-256 bank"};
  return Sha256Digest::FromView({values->digests[0].buffer, values->digests[0].size});
}

Result<ResetCounts> EsysTpm::ReadResetCounts() {
  TPMS_TIME_INFO* info = nullptr;
  SP_TRY(Check(Esys_ReadClock(state_->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &info),
               "TPM2_ReadClock"));
  const EsysOwned<TPMS_TIME_INFO> owned(info);
  return ResetCounts{info->clockInfo.resetCount, info->clockInfo.restartCount};
}

}  // namespace sallyport::node
