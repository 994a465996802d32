#include "device-client/tpm/esys.h"

#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include <array>

#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr size_t kMarshalBytesMax = 2048;  // the largest structure we write is a public area
constexpr TSS2_RC kFormatOneMask =
    TPM2_RC_FMT1 | 0x3F;  // drops which parameter, handle or session it was

Reason ReasonOf(TSS2_RC rc) {
  if ((rc & TSS2_RC_LAYER_MASK) != TSS2_TPM_RC_LAYER) return Reason::kUnavailable;
  if (rc == TPM2_RC_LOCKOUT) return Reason::kRateLimited;
  if (rc >= TPM2_RC_REFERENCE_H0 && rc <= TPM2_RC_REFERENCE_H6) return Reason::kNotFound;
  if ((rc & TPM2_RC_FMT1) == 0) return Reason::kUnavailable;
  const TSS2_RC error = rc & kFormatOneMask;
  if (error == TPM2_RC_HANDLE) return Reason::kNotFound;
  if (error == TPM2_RC_INTEGRITY) return Reason::kBadSignature;
  return Reason::kUnavailable;
}

template <typename T>
Result<Bytes> Marshal(TSS2_RC (*marshal)(const T*, uint8_t[], size_t, size_t*), const T& value) {
  std::array<uint8_t, kMarshalBytesMax> buffer;
  size_t size = 0;
  SP_TRY(CheckRc(marshal(&value, buffer.data(), buffer.size(), &size), "tpm.marshal"));
  return ToBytes(ByteView(buffer).first(size));
}

}  // namespace

Result<Unit> CheckRc(TSS2_RC rc, std::string_view rule) {
  if (rc == TSS2_RC_SUCCESS) return Ok();
  return Error{ReasonOf(rc), Tss2_RC_Decode(rc), rule};
}

Result<Esys> Esys::Connect(const std::string& tcti) {
  Esys out(nullptr, nullptr);
  SP_TRY(CheckRc(Tss2_TctiLdr_Initialize(tcti.c_str(), &out.tcti_), "tpm.connect"));
  SP_TRY(CheckRc(Esys_Initialize(&out.context_, out.tcti_, nullptr), "tpm.connect"));
  return out;
}

Esys::~Esys() {
  if (context_ != nullptr) Esys_Finalize(&context_);
  if (tcti_ != nullptr) Tss2_TctiLdr_Finalize(&tcti_);
}

TransientObject::~TransientObject() {
  if (handle_ == ESYS_TR_NONE) return;
  const Result<Unit> flushed = CheckRc(Esys_FlushContext(context_, handle_), "tpm.flush");
  if (flushed) return;
  // Gone already: the TPM was reset under us.
  if (flushed.error().reason != Reason::kNotFound)
    Log(LogLevel::kWarning, "tpm_flush_failed", {{"reason", flushed.error().ToString()}});
  Esys_TR_Close(context_, &handle_);
}

Result<TPM2B_PUBLIC> ToEsys(const pki::PublicArea& area) {
  const Bytes wire = area.Marshal();
  TPM2B_PUBLIC out{};
  size_t offset = 0;
  SP_TRY(CheckRc(Tss2_MU_TPMT_PUBLIC_Unmarshal(wire.data(), wire.size(), &offset, &out.publicArea),
                 "tpm.marshal"));
  return out;
}

Result<Bytes> FromEsys(const TPMT_PUBLIC& area) {
  return Marshal(Tss2_MU_TPMT_PUBLIC_Marshal, area);
}
Result<Bytes> FromEsys(const TPMT_SIGNATURE& signature) {
  return Marshal(Tss2_MU_TPMT_SIGNATURE_Marshal, signature);
}
Result<Bytes> FromEsys(const TPMS_CREATION_DATA& data) {
  return Marshal(Tss2_MU_TPMS_CREATION_DATA_Marshal, data);
}

}  // namespace sallyport::device
