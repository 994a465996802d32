#include "device-client/tpm/commands.h"

#include "device-client/tpm/ek_certificate.h"
#include "device-client/tpm/key_templates.h"
#include "pki/tpm/key_rules.h"
#include "pki/tpm/signature.h"

namespace sallyport::device {
namespace {

// TCG EK Credential Profile 2.6, section 2.2.1.4.
constexpr uint32_t kEkChainFirst = 0x01C00100;
constexpr uint32_t kEkChainLast = 0x01C001FF;

constexpr uint32_t kHandlesMax = 254;      // TPM2_MAX_CAP_HANDLES
constexpr uint16_t kNvReadBytesMax = 512;  // small TPMs refuse more in one TPM2_NV_Read
constexpr size_t kNvBytesMax = 16 << 10;   // certificates: any chain fits
constexpr int kQuoteAttempts = 5;          // PCRs are extended in bursts while a system starts
constexpr size_t kTlsKeyEntropyBytes = 64;

constexpr TPMT_SIG_SCHEME kSchemeOfKey{.scheme = TPM2_ALG_NULL, .details = {}};

Result<TPM2B_DATA> QualifyingData(ByteView bytes) {
  TPM2B_DATA out{};
  SP_TRY(FillTpm2b(out, out.buffer, sizeof out.buffer, bytes));
  return out;
}

TPML_PCR_SELECTION SelectionOf(const pki::PcrSelection& banks) {
  SP_CHECK(banks.size() <= pki::kPcrBanksMax);
  TPML_PCR_SELECTION out{};
  for (const pki::PcrBank& bank : banks) {
    TPMS_PCR_SELECTION& to = out.pcrSelections[out.count++];
    to.hash = bank.algorithm;
    to.sizeofSelect = 3;
    for (unsigned i = 0; i < 3; ++i) to.pcrSelect[i] = static_cast<uint8_t>(bank.bitmap >> (8 * i));
  }
  return out;
}
TPML_PCR_SELECTION SelectionOf(const pki::PcrBank& bank, uint32_t bitmap) {
  return SelectionOf({{bank.algorithm, bitmap}});
}

// NullTemplate is the kernel's (drivers/char/tpm/tpm2-sessions.c): an ECC storage key whose
// `unique` is empty, which is another template than one of zeros.
TPM2B_PUBLIC NullTemplate() {
  TPM2B_PUBLIC out{};
  TPMT_PUBLIC& area = out.publicArea;
  area.type = TPM2_ALG_ECC;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_NODA | TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                          TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                          TPMA_OBJECT_DECRYPT | TPMA_OBJECT_RESTRICTED;
  TPMS_ECC_PARMS& ecc = area.parameters.eccDetail;
  ecc.symmetric.algorithm = TPM2_ALG_AES;
  ecc.symmetric.keyBits.aes = 128;
  ecc.symmetric.mode.aes = TPM2_ALG_CFB;
  ecc.scheme.scheme = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  return out;
}

uint32_t BitsOf(const TPML_PCR_SELECTION& selection) {
  uint32_t bits = 0;
  if (selection.count == 1)
    for (unsigned i = 0; i < 3; ++i)
      bits |= static_cast<uint32_t>(selection.pcrSelections[0].pcrSelect[i]) << (8 * i);
  return bits;
}

Result<TpmAttestation> ToAttestation(const TPM2B_ATTEST& attest, const TPMT_SIGNATURE& signature) {
  SP_TRY(Bytes signature_bytes, FromEsys(signature));
  return TpmAttestation{ToBytes(ByteView(attest.attestationData, attest.size)),
                        std::move(signature_bytes)};
}

}  // namespace

Result<std::vector<uint32_t>> TpmCommands::Handles(uint32_t first) {
  TPMI_YES_NO more = TPM2_NO;
  TPMS_CAPABILITY_DATA* raw = nullptr;
  SP_TRY(CheckRc(Esys_GetCapability(context(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    TPM2_CAP_HANDLES, first, kHandlesMax, &more, &raw),
                 "tpm.get-capability"));
  const EsysPtr<TPMS_CAPABILITY_DATA> data(raw);
  const TPML_HANDLE& list = data->data.handles;
  return std::vector<uint32_t>(list.handle, list.handle + list.count);
}

Result<Unit> TpmCommands::FlushHandles(uint32_t first, bool session) {
  SP_TRY(const std::vector<uint32_t> handles, Handles(first));
  for (const uint32_t handle : handles) {
    if ((handle & TPM2_HR_RANGE_MASK) != (first & TPM2_HR_RANGE_MASK)) continue;
    ESYS_TR object = ESYS_TR_NONE;
    SP_TRY(CheckRc(
        Esys_TR_FromTPMPublic(context(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &object),
        session ? "tpm.leftover-session" : "tpm.leftover-key"));
    SP_TRY(CheckRc(Esys_FlushContext(context(), object), "tpm.flush"));
  }
  return Ok();
}

Result<Unit> TpmCommands::FlushLeftovers() {
  SP_TRY(FlushHandles(TPM2_TRANSIENT_FIRST, false));
  return FlushHandles(TPM2_LOADED_SESSION_FIRST, true);
}

Result<TpmCommands::Primary> TpmCommands::CreatePrimary(ESYS_TR hierarchy,
                                                        const pki::PublicArea& area,
                                                        ByteView outside_info) {
  SP_TRY(const TPM2B_PUBLIC wanted, ToEsys(area));
  return CreatePrimary(hierarchy, wanted, outside_info);
}

Result<TpmCommands::Primary> TpmCommands::CreatePrimary(ESYS_TR hierarchy,
                                                        const TPM2B_PUBLIC& wanted,
                                                        ByteView outside_info) {
  SP_TRY(const TPM2B_DATA outside, QualifyingData(outside_info));
  const TPM2B_SENSITIVE_CREATE no_auth{};
  const TPML_PCR_SELECTION no_pcrs{};
  ESYS_TR handle = ESYS_TR_NONE;
  TPM2B_PUBLIC* made = nullptr;
  TPM2B_CREATION_DATA* data = nullptr;
  TPM2B_DIGEST* hash = nullptr;
  TPMT_TK_CREATION* ticket = nullptr;
  SP_TRY(CheckRc(Esys_CreatePrimary(context(), hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                    ESYS_TR_NONE, &no_auth, &wanted, &outside, &no_pcrs, &handle,
                                    &made, &data, &hash, &ticket),
                 "tpm.create-primary"));
  return Primary{TransientObject(context(), handle), EsysPtr<TPM2B_PUBLIC>(made),
                 EsysPtr<TPM2B_CREATION_DATA>(data), EsysPtr<TPM2B_DIGEST>(hash),
                 EsysPtr<TPMT_TK_CREATION>(ticket)};
}

Result<std::optional<ESYS_TR>> TpmCommands::FindPersistent(uint32_t handle) {
  SP_TRY(const std::vector<uint32_t> handles, Handles(handle));
  if (handles.empty() || handles.front() != handle) return std::optional<ESYS_TR>();
  ESYS_TR object = ESYS_TR_NONE;
  SP_TRY(CheckRc(
      Esys_TR_FromTPMPublic(context(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &object),
      "tpm.read-public"));
  return std::optional<ESYS_TR>(object);
}

// PublicOf also shows that the key is a primary one of `hierarchy`: the Qualified Name says so.
Result<Bytes> TpmCommands::PublicOf(ESYS_TR handle, uint32_t hierarchy) {
  TPM2B_PUBLIC* area = nullptr;
  TPM2B_NAME* name = nullptr;
  TPM2B_NAME* qualified = nullptr;
  SP_TRY(CheckRc(Esys_ReadPublic(context(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &area,
                                 &name, &qualified),
                 "tpm.read-public"));
  const EsysPtr<TPM2B_PUBLIC> owned_area(area);
  const EsysPtr<TPM2B_NAME> owned_name(name);
  const EsysPtr<TPM2B_NAME> owned_qualified(qualified);
  SP_TRY(Bytes wire, FromEsys(area->publicArea));
  SP_TRY(const pki::PublicArea parsed, pki::ParsePublicArea(wire));
  const Bytes expected =
      pki::PrimaryQualifiedName(parsed.name_alg, hierarchy, pki::ObjectName(parsed));
  if (!Equal(expected, ByteView(qualified->name, qualified->size)))
    return Error{Reason::kMismatch, "not a primary key of its hierarchy"};
  return wire;
}

Result<Bytes> TpmCommands::EnsureAttestationKey() {
  SP_TRY(std::optional<ESYS_TR> found, FindPersistent(kAkPersistentHandle));
  if (!found) {
    SP_TRY(const Primary made, CreatePrimary(ESYS_TR_RH_ENDORSEMENT, AkTemplate(), {}));
    ESYS_TR persistent = ESYS_TR_NONE;
    SP_TRY(CheckRc(
        Esys_EvictControl(context(), ESYS_TR_RH_OWNER, made.object.handle(), ESYS_TR_PASSWORD,
                          ESYS_TR_NONE, ESYS_TR_NONE, kAkPersistentHandle, &persistent),
        "tpm.evict-control"));
    found = persistent;
  }
  const auto foreign = [](Error error) {
    return Error{Reason::kMismatch, "the key at the handle: " + std::move(error).detail,
                 "ak.foreign"};
  };
  auto wire = PublicOf(*found, pki::tpm::kEndorsement);
  if (!wire) return foreign(std::move(wire).error());
  SP_TRY(const pki::PublicArea area, pki::ParsePublicArea(*wire));
  auto rules = pki::RequireAll(pki::CheckAttestationKey(area));
  if (!rules) return foreign(std::move(rules).error());
  ak_ = *found;
  return wire;
}

Result<ESYS_TR> TpmCommands::AttestationKey() const {
  if (!ak_)
    return Error{Reason::kInvalidArgument, "EnsureAttestationKey comes first", "ak.missing"};
  return *ak_;
}

Result<Bytes> TpmCommands::ReadNv(uint32_t index) {
  SP_TRY(const std::optional<ESYS_TR> found, FindPersistent(index));
  if (!found) return Error{Reason::kNotFound, "no such NV index", "tpm.nv-read"};
  TPM2B_NV_PUBLIC* raw_area = nullptr;
  SP_TRY(CheckRc(Esys_NV_ReadPublic(context(), *found, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    &raw_area, nullptr),
                 "tpm.nv-read-public"));
  const EsysPtr<TPM2B_NV_PUBLIC> area(raw_area);
  const uint16_t size = area->nvPublic.dataSize;
  if (size > kNvBytesMax)
    return Error{Reason::kTooLarge, std::to_string(size) + " bytes", "tpm.nv-read"};
  Bytes out;
  while (out.size() < size) {
    const auto offset = static_cast<uint16_t>(out.size());
    const uint16_t want = std::min<uint16_t>(kNvReadBytesMax, static_cast<uint16_t>(size - offset));
    TPM2B_MAX_NV_BUFFER* raw = nullptr;
    SP_TRY(CheckRc(Esys_NV_Read(context(), *found, *found, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                ESYS_TR_NONE, want, offset, &raw),
                   "tpm.nv-read"));
    const EsysPtr<TPM2B_MAX_NV_BUFFER> part(raw);
    if (part->size != want) return Error{Reason::kUnavailable, "short read", "tpm.nv-read"};
    Append(out, ByteView(part->buffer, part->size));
  }
  return out;
}

Result<EkCertificates> TpmCommands::ReadEkCertificates(pki::EkTemplate key) {
  SP_TRY(const Bytes nv, ReadNv(pki::EkCertificateIndex(key)));
  SP_TRY(Bytes leaf, TakeCertificate(nv));
  // A chain longer than one index continues in the next: join first, then cut at the certificates.
  Bytes joined;
  SP_TRY(const std::vector<uint32_t> indices, Handles(kEkChainFirst));
  for (const uint32_t index : indices) {
    if (index > kEkChainLast) break;
    SP_TRY(const Bytes part, ReadNv(index));
    Append(joined, part);
  }
  SP_TRY(std::vector<Bytes> chain, TakeCertificates(joined));
  return EkCertificates{key, std::move(leaf), std::move(chain)};
}

Result<Bytes> TpmCommands::EkPublic(pki::EkTemplate key) {
  SP_TRY(const Primary ek, CreatePrimary(ESYS_TR_RH_ENDORSEMENT, pki::EkTemplateArea(key), {}));
  return FromEsys(ek.area->publicArea);
}

// EkSession may use the EK and encrypts what comes back; its salt can be opened by this EK only. A
// key of the high range takes its empty password, one of the low range a session that fulfils
// PolicyA.
Result<TransientObject> TpmCommands::EkSession(ESYS_TR ek, bool high_range) {
  TPMT_SYM_DEF aes{};
  aes.algorithm = TPM2_ALG_AES;
  aes.keyBits.aes = 128;
  aes.mode.aes = TPM2_ALG_CFB;
  ESYS_TR handle = ESYS_TR_NONE;
  SP_TRY(CheckRc(Esys_StartAuthSession(
                     context(), ek, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr,
                     high_range ? TPM2_SE_HMAC : TPM2_SE_POLICY, &aes, TPM2_ALG_SHA256, &handle),
                 "tpm.start-auth-session"));
  TransientObject session(context(), handle);
  constexpr TPMA_SESSION kAttributes =
      TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT;
  SP_TRY(CheckRc(Esys_TRSess_SetAttributes(context(), handle, kAttributes, 0xFF),
                 "tpm.session-attributes"));
  if (high_range) return session;
  SP_TRY(CheckRc(
      Esys_PolicySecret(context(), ESYS_TR_RH_ENDORSEMENT, handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                        ESYS_TR_NONE, nullptr, nullptr, nullptr, 0, nullptr, nullptr),
      "tpm.policy-secret"));
  return session;
}

Result<pki::SecretBytes> TpmCommands::ActivateCredential(pki::EkTemplate key,
                                                         ByteView credential_blob,
                                                         ByteView encrypted_secret) {
  SP_TRY(const ESYS_TR ak, AttestationKey());
  TPM2B_ID_OBJECT blob{};
  SP_TRY(FillTpm2b(blob, blob.credential, sizeof blob.credential, credential_blob));
  TPM2B_ENCRYPTED_SECRET secret{};
  SP_TRY(FillTpm2b(secret, secret.secret, sizeof secret.secret, encrypted_secret));
  SP_TRY(const Primary ek, CreatePrimary(ESYS_TR_RH_ENDORSEMENT, pki::EkTemplateArea(key), {}));
  SP_TRY(const TransientObject session, EkSession(ek.object.handle(), pki::EkIsHighRange(key)));
  TPM2B_DIGEST* raw = nullptr;
  SP_TRY(CheckRc(Esys_ActivateCredential(context(), ak, ek.object.handle(), ESYS_TR_PASSWORD,
                                         session.handle(), ESYS_TR_NONE, &blob, &secret, &raw),
                 "tpm.activate-credential"));
  const EsysPtr<TPM2B_DIGEST> opened(raw);
  pki::SecretBytes out = pki::SecretBytes::CopyOf(ByteView(opened->buffer, opened->size));
  pki::WipeBytes(std::span(opened->buffer, opened->size));
  return out;
}

Result<TlsKey> TpmCommands::MakeTlsKey(ByteView outside_info) {
  Bytes entropy(kTlsKeyEntropyBytes);
  random_.Fill(entropy);
  SP_TRY(Primary made, CreatePrimary(ESYS_TR_RH_NULL, TlsKeyTemplate(entropy), outside_info));
  const TlsKeyId id{next_key_++};
  SP_TRY(Bytes area, FromEsys(made.area->publicArea));
  SP_TRY(Bytes creation, FromEsys(made.creation_data->creationData));
  tls_keys_.emplace(id, std::move(made));
  return TlsKey{id, std::move(area), std::move(creation)};
}

Result<TpmCommands::Primary*> TpmCommands::FindTlsKey(TlsKeyId key) {
  const auto found = tls_keys_.find(key);
  if (found == tls_keys_.end()) return Error{Reason::kNotFound, "no such TLS key", "tls-key.gone"};
  return &found->second;
}

Result<TpmAttestation> TpmCommands::CertifyCreation(TlsKeyId key, ByteView qualifying_data) {
  SP_TRY(const ESYS_TR ak, AttestationKey());
  SP_TRY(const Primary* made, FindTlsKey(key));
  SP_TRY(const TPM2B_DATA qualifying, QualifyingData(qualifying_data));
  TPM2B_ATTEST* attest = nullptr;
  TPMT_SIGNATURE* signature = nullptr;
  SP_TRY(CheckRc(
      Esys_CertifyCreation(context(), ak, made->object.handle(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                           ESYS_TR_NONE, &qualifying, made->creation_hash.get(), &kSchemeOfKey,
                           made->ticket.get(), &attest, &signature),
      "tpm.certify-creation"));
  const EsysPtr<TPM2B_ATTEST> owned_attest(attest);
  const EsysPtr<TPMT_SIGNATURE> owned_signature(signature);
  return ToAttestation(*attest, *signature);
}

Result<TpmAttestation> TpmCommands::Certify(TlsKeyId key, ByteView qualifying_data) {
  SP_TRY(const Primary* made, FindTlsKey(key));
  SP_TRY(const ESYS_TR ak, AttestationKey());
  return CertifyWith(made->object.handle(), ak, qualifying_data);
}

Result<TpmAttestation> TpmCommands::CertifyNullPrimary(ByteView qualifying_data) {
  SP_TRY(const ESYS_TR ak, AttestationKey());
  SP_TRY(const Primary made, CreatePrimary(ESYS_TR_RH_NULL, NullTemplate(), {}));
  return CertifyWith(made.object.handle(), ak, qualifying_data);
}

Result<TpmAttestation> TpmCommands::CertifyWith(ESYS_TR object, ESYS_TR signer,
                                                ByteView qualifying_data) {
  SP_TRY(const TPM2B_DATA qualifying, QualifyingData(qualifying_data));
  TPM2B_ATTEST* attest = nullptr;
  TPMT_SIGNATURE* signature = nullptr;
  SP_TRY(CheckRc(Esys_Certify(context(), object, signer, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD,
                              ESYS_TR_NONE, &qualifying, &kSchemeOfKey, &attest, &signature),
                 "tpm.certify"));
  const EsysPtr<TPM2B_ATTEST> owned_attest(attest);
  const EsysPtr<TPMT_SIGNATURE> owned_signature(signature);
  return ToAttestation(*attest, *signature);
}

Result<TpmAttestation> TpmCommands::CertifyNv(ESYS_TR index, uint16_t size,
                                              ByteView qualifying_data) {
  SP_TRY(const ESYS_TR ak, AttestationKey());
  SP_TRY(const TPM2B_DATA qualifying, QualifyingData(qualifying_data));
  TPM2B_ATTEST* attest = nullptr;
  TPMT_SIGNATURE* signature = nullptr;
  SP_TRY(CheckRc(
      Esys_NV_Certify(context(), ak, index, index, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                      &qualifying, &kSchemeOfKey, size, 0, &attest, &signature),
      "tpm.nv-certify"));
  const EsysPtr<TPM2B_ATTEST> owned_attest(attest);
  const EsysPtr<TPMT_SIGNATURE> owned_signature(signature);
  return ToAttestation(*attest, *signature);
}

Result<Bytes> TpmCommands::Sign(TlsKeyId key, const Sha256Digest& digest) {
  SP_TRY(const Primary* made, FindTlsKey(key));
  TPM2B_DIGEST to_sign{};
  SP_TRY(FillTpm2b(to_sign, to_sign.buffer, sizeof to_sign.buffer, digest.view()));
  // An unrestricted key needs no proof of who made the hash.
  const TPMT_TK_HASHCHECK no_ticket{
      .tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL, .digest = {}};
  TPMT_SIGNATURE* raw = nullptr;
  SP_TRY(CheckRc(Esys_Sign(context(), made->object.handle(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                           ESYS_TR_NONE, &to_sign, &kSchemeOfKey, &no_ticket, &raw),
                 "tpm.sign"));
  const EsysPtr<TPMT_SIGNATURE> signature(raw);
  const TPMS_SIGNATURE_ECC& ecdsa = signature->signature.ecdsa;
  return pki::EcdsaDer({ecdsa.signatureR.buffer, ecdsa.signatureR.size},
                       {ecdsa.signatureS.buffer, ecdsa.signatureS.size});
}

// ReadPcrsOnce may see a change in the middle; `update_counter` is of the first command.
Result<TpmCommands::PcrReading> TpmCommands::ReadPcrsOnce(const pki::PcrBank& selection) {
  PcrReading out{};
  uint32_t wanted = selection.bitmap;
  for (bool first = true; wanted != 0 || first; first = false) {
    const TPML_PCR_SELECTION ask = SelectionOf(selection, wanted);
    uint32_t counter = 0;
    TPML_PCR_SELECTION* raw_got = nullptr;
    TPML_DIGEST* raw_values = nullptr;
    SP_TRY(CheckRc(Esys_PCR_Read(context(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &ask,
                                 &counter, &raw_got, &raw_values),
                   "tpm.pcr-read"));
    const EsysPtr<TPML_PCR_SELECTION> got(raw_got);
    const EsysPtr<TPML_DIGEST> values(raw_values);
    if (first) out.update_counter = counter;
    const uint32_t bits = BitsOf(*got) & wanted;
    if (bits == 0 && wanted != 0)
      return Error{Reason::kUnavailable, "the TPM has no such bank or PCR", "tpm.pcr-read"};
    uint32_t next = 0;
    for (unsigned pcr = 0; pcr < pki::tpm::kPcrCount && next < values->count; ++pcr)
      if ((bits >> pcr & 1u) != 0) {
        const TPM2B_DIGEST& value = values->digests[next++];
        out.values[pcr] = ToBytes(ByteView(value.buffer, value.size));
      }
    wanted &= ~bits;
  }
  return out;
}

Result<std::map<unsigned, Bytes>> TpmCommands::ReadPcrs(const pki::PcrBank& selection) {
  SP_TRY(PcrReading reading, ReadPcrsOnce(selection));
  return std::move(reading.values);
}

Result<TpmAttestation> TpmCommands::QuoteOnce(const TPML_PCR_SELECTION& pcrs,
                                              ByteView qualifying_data, std::string_view rule) {
  SP_TRY(const ESYS_TR ak, AttestationKey());
  SP_TRY(const TPM2B_DATA qualifying, QualifyingData(qualifying_data));
  TPM2B_ATTEST* attest = nullptr;
  TPMT_SIGNATURE* signature = nullptr;
  SP_TRY(CheckRc(Esys_Quote(context(), ak, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                            &qualifying, &kSchemeOfKey, &pcrs, &attest, &signature),
                 rule));
  const EsysPtr<TPM2B_ATTEST> owned_attest(attest);
  const EsysPtr<TPMT_SIGNATURE> owned_signature(signature);
  return ToAttestation(*attest, *signature);
}

Result<TpmQuote> TpmCommands::Quote(const pki::PcrBank& selection, ByteView qualifying_data) {
  const TPML_PCR_SELECTION pcrs = SelectionOf(selection, selection.bitmap);
  for (int attempt = 0; attempt < kQuoteAttempts; ++attempt) {
    SP_TRY(PcrReading before, ReadPcrsOnce(selection));
    SP_TRY(TpmAttestation signed_by_ak, QuoteOnce(pcrs, qualifying_data, "tpm.quote"));
    SP_TRY(const PcrReading after, ReadPcrsOnce({selection.algorithm, 0}));
    if (before.update_counter == after.update_counter)
      return TpmQuote{std::move(signed_by_ak), std::move(before.values)};
  }
  return Error{Reason::kConflict, "PCRs change all the time", "quote.pcrs-moving"};
}

Result<TpmAttestation> TpmCommands::QuoteBanks(const pki::PcrSelection& selection,
                                               ByteView qualifying_data) {
  return QuoteOnce(SelectionOf(selection), qualifying_data, "tpm.quote-banks");
}

Result<pki::ClockInfo> TpmCommands::ReadClock() {
  TPMS_TIME_INFO* raw = nullptr;
  SP_TRY(CheckRc(Esys_ReadClock(context(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &raw),
                 "tpm.read-clock"));
  const EsysPtr<TPMS_TIME_INFO> time(raw);
  const TPMS_CLOCK_INFO& clock = time->clockInfo;
  return pki::ClockInfo{clock.clock, clock.resetCount, clock.restartCount, clock.safe == TPM2_YES};
}

}  // namespace sallyport::device
