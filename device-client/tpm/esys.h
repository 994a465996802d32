// ESAPI's objects as owned values, and the one place where a response code becomes an Error.
// Private to device-client/tpm.
#pragma once

#include <tss2/tss2_esys.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "pki/base/bytes.h"
#include "pki/tpm/public_area.h"

namespace sallyport::device {

struct EsysFree {
  template <typename T>
  void operator()(T* pointer) const {
    Esys_Free(pointer);
  }
};
template <typename T>
using EsysPtr = std::unique_ptr<T, EsysFree>;

// CheckRc names the failed command as the rule (static, "tpm.quote"). kNotFound: the handle is
// gone; kBadSignature: an integrity value is wrong; kRateLimited: lockout; kUnavailable otherwise.
Result<Unit> CheckRc(TSS2_RC rc, std::string_view rule);

// Esys is one connection; one thread at a time.
class Esys {
 public:
  static Result<Esys> Connect(const std::string& tcti);
  Esys(Esys&& other) noexcept
      : tcti_(std::exchange(other.tcti_, nullptr)),
        context_(std::exchange(other.context_, nullptr)) {}
  Esys& operator=(Esys&&) = delete;
  ~Esys();
  ESYS_CONTEXT* get() const { return context_; }

 private:
  Esys(TSS2_TCTI_CONTEXT* tcti, ESYS_CONTEXT* context) : tcti_(tcti), context_(context) {}
  TSS2_TCTI_CONTEXT* tcti_;
  ESYS_CONTEXT* context_;
};

// TransientObject is a key or session in the TPM, flushed when it goes. The connection must outlive
// it.
class TransientObject {
 public:
  TransientObject(ESYS_CONTEXT* context, ESYS_TR handle) : context_(context), handle_(handle) {}
  TransientObject(TransientObject&& other) noexcept
      : context_(other.context_), handle_(std::exchange(other.handle_, ESYS_TR_NONE)) {}
  TransientObject& operator=(TransientObject&&) = delete;
  ~TransientObject();
  ESYS_TR handle() const { return handle_; }

 private:
  ESYS_CONTEXT* context_;
  ESYS_TR handle_;
};

// FillTpm2b copies `bytes` into a TPM2B with a `buffer` (or `credential`, ...) of `capacity` bytes.
// kInvalidArgument (rule tpm.size) when they do not fit.
template <typename Sized>
Result<Unit> FillTpm2b(Sized& out, uint8_t* buffer, size_t capacity, ByteView bytes) {
  if (bytes.size() > capacity)
    return Error{Reason::kInvalidArgument, std::to_string(bytes.size()) + " bytes", "tpm.size"};
  out.size = static_cast<uint16_t>(bytes.size());
  std::ranges::copy(bytes, buffer);
  return Ok();
}

// ToEsys and FromEsys go through the wire format: pki/tpm's parser sees exactly what the server
// will see.
Result<TPM2B_PUBLIC> ToEsys(const pki::PublicArea& area);
Result<Bytes> FromEsys(const TPMT_PUBLIC& area);
Result<Bytes> FromEsys(const TPMT_SIGNATURE& signature);
Result<Bytes> FromEsys(const TPMS_CREATION_DATA& data);

}  // namespace sallyport::device
