#include "pki/x509/ek_chain.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <optional>

#include "pki/x509/x509_native.h"

namespace sallyport::pki {
namespace {

struct FreeX509Stack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using X509Stack = std::unique_ptr<STACK_OF(X509), FreeX509Stack>;

constexpr int kAuthLevel = 2;  // OpenSSL: 112 bits, so RSA from 2048 bits and no SHA-1

// Push gives `certificate` to `stack`.
void Push(const X509Stack& stack, X509Ptr certificate) {
  if (sk_X509_push(stack.get(), certificate.get()) > 0) static_cast<void>(certificate.release());
}

// Findings are what a chain has against it that does not stop its being built.
struct Findings {
  std::optional<EkCheck> validity;
  std::optional<EkCheck> strength;
};

std::string Describe(X509_STORE_CTX* context, int code) {
  const X509* const at = X509_STORE_CTX_get_current_cert(context);
  std::string out = X509_verify_cert_error_string(code);
  if (at != nullptr && X509_STORE_CTX_get_error_depth(context) > 0)
    out += " (" + NameText(X509_get_subject_name(at)) + ")";
  return out;
}

// Collect is OpenSSL's callback for every error: it notes those with a rule of their own and lets
// the others end the verification.
int Collect(int good, X509_STORE_CTX* context) {
  if (good == 1) return 1;
  auto* const findings = static_cast<Findings*>(X509_STORE_CTX_get_app_data(context));
  const int code = X509_STORE_CTX_get_error(context);
  const auto note = [&](std::optional<EkCheck>& slot, std::string_view rule, Reason reason) {
    if (!slot.has_value()) slot = FailedCheck(rule, reason, Describe(context, code));
    return 1;
  };
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return note(findings->validity, "ek.expired", Reason::kExpired);
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return note(findings->validity, "ek.not-yet-valid", Reason::kExpired);
    case X509_V_ERR_EE_KEY_TOO_SMALL: return 1;  // the leaf's key has its own rule, ek.key
    case X509_V_ERR_CA_MD_TOO_WEAK:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
      return note(findings->strength, "ek.chain-strength", Reason::kUntrusted);
  }
  return 0;
}

EkCheck ChainFailure(int code, int depth, std::string detail) {
  switch (code) {
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
      return FailedCheck("ek.chain-length", Reason::kTooLarge, std::move(detail));
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      if (depth == 0) return FailedCheck("ek.signature", Reason::kBadSignature, std::move(detail));
  }
  return FailedCheck("ek.chain", Reason::kUntrusted, std::move(detail));
}

std::vector<Bytes> ChainOf(X509_STORE_CTX* context) {
  std::vector<Bytes> out;
  const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(context);
  for (int i = 0; i < sk_X509_num(chain); ++i)
    out.push_back(DerOf<i2d_X509>(sk_X509_value(chain, i)));
  return out;
}

}  // namespace

struct EkRoots::State {
  X509StorePtr roots;   // self-issued
  X509StorePtr pinned;  // everything, each an anchor of its own
  X509Stack intermediates;
  std::vector<EkCrl> crls;
  size_t anchors = 0;
};

Result<EkRoots> EkRoots::FromCertificates(std::span<const Bytes> files,
                                          std::span<const EkCrl> crls) {
  auto state = std::make_shared<State>();
  state->roots.reset(X509_STORE_new());
  state->pinned.reset(X509_STORE_new());
  state->intermediates.reset(sk_X509_new_null());
  state->crls.assign(crls.begin(), crls.end());
  for (const Bytes& file : files) {
    X509File read = ReadX509File(file);
    if (!read.fault.empty()) return Error{Reason::kMalformed, read.fault, "ek.root"};
    for (X509Ptr& certificate : read.certificates) {
      if (X509_check_ca(certificate.get()) == 0) continue;
      const bool root = SelfIssued(certificate.get());
      if (X509_STORE_add_cert(state->pinned.get(), certificate.get()) != 1 ||
          (root && X509_STORE_add_cert(state->roots.get(), certificate.get()) != 1))
        return Error{Reason::kMalformed, DrainOpenSslErrors(), "ek.root"};
      if (root) ++state->anchors;
      if (!root) Push(state->intermediates, std::move(certificate));
    }
  }
  if (state->anchors == 0 && sk_X509_num(state->intermediates.get()) == 0)
    return Error{Reason::kInvalidArgument, "no CA certificate", "ek.no-root"};
  return EkRoots(std::move(state));
}

size_t EkRoots::anchor_count() const { return state_->anchors; }
size_t EkRoots::intermediate_count() const {
  return static_cast<size_t>(sk_X509_num(state_->intermediates.get()));
}

namespace {

// Untrusted is what a chain may be built over: the profile's intermediates first.
Result<X509Stack> Untrusted(STACK_OF(X509) * known, std::span<const Bytes> received) {
  if (received.size() + 1 > kEkChainMax)
    return Error{Reason::kTooLarge, "EK chain", "ek.chain-length"};
  X509Stack out(X509_chain_up_ref(known));
  for (const Bytes& bytes : received) {
    if (bytes.size() > kEkCertificateBytesMax)
      return Error{Reason::kTooLarge, "EK intermediate", "ek.size"};
    SP_TRY(const std::vector<Bytes> taken, TakeEkCertificates(bytes));
    for (const Bytes& der : taken) {
      X509Ptr certificate = DecodeX509(der);
      if (certificate == nullptr) return Error{Reason::kMalformed, "EK intermediate", "ek.der"};
      Push(out, std::move(certificate));
    }
  }
  return out;
}

// Proven is what OpenSSL says: a chain and what is against it.
struct Proven {
  EkCheck chain;
  Findings findings;
  std::vector<Bytes> certificates;
  bool no_issuer = false;  // the chain ends at a certificate whose issuer is not known
};

bool IsNoIssuer(int code) {
  return code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
         code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
}

Proven Prove(X509_STORE* store, unsigned long flags, X509* leaf, STACK_OF(X509) * untrusted,
             UnixTime now) {
  Proven out{PassedCheck("ek.chain"), {}, {}};
  const X509StoreCtxPtr context(X509_STORE_CTX_new());
  if (context == nullptr || X509_STORE_CTX_init(context.get(), store, leaf, untrusted) != 1) {
    out.chain = FailedCheck("ek.chain", Reason::kInternal, DrainOpenSslErrors());
    return out;
  }
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters, flags);
  X509_VERIFY_PARAM_set_time(parameters, now.seconds());
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(kEkChainMax));
  X509_VERIFY_PARAM_set_auth_level(parameters, kAuthLevel);
  X509_STORE_CTX_set_app_data(context.get(), &out.findings);
  X509_STORE_CTX_set_verify_cb(context.get(), Collect);
  const int verified = X509_verify_cert(context.get());
  const int code = X509_STORE_CTX_get_error(context.get());
  const int depth = X509_STORE_CTX_get_error_depth(context.get());
  if (verified != 1) {
    out.chain = ChainFailure(code, depth, Describe(context.get(), code));
    out.no_issuer = IsNoIssuer(code) && depth > 0;
  } else {
    out.certificates = ChainOf(context.get());
    const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(context.get());
    const X509* const anchor = sk_X509_value(chain, sk_X509_num(chain) - 1);
    out.chain.detail = "to " + NameText(X509_get_subject_name(anchor));
  }
  ERR_clear_error();
  return out;
}

}  // namespace

EkRoots::Judgement EkRoots::Judge(const EkCertificate& leaf, std::span<const Bytes> intermediates,
                                  UnixTime now, std::span<const EkCrl> crls) const {
  X509* const certificate = leaf.decoded.get();
  const Result<X509Stack> untrusted = Untrusted(state_->intermediates.get(), intermediates);
  if (!untrusted.has_value()) return {{CheckOf("ek.chain", untrusted.error())}, {}};
  Proven proven = Prove(state_->roots.get(), 0, certificate, untrusted->get(), now);
  // A pinned intermediate is an anchor where its own issuer is not pinned.
  if (proven.no_issuer)
    proven =
        Prove(state_->pinned.get(), X509_V_FLAG_PARTIAL_CHAIN, certificate, untrusted->get(), now);
  std::vector<EkCheck> checks{std::move(proven.chain)};
  if (proven.certificates.empty()) {
    checks.push_back({"ek.validity", CheckResult::kNotRun, "there is no chain"});
    return {std::move(checks), {}};
  }
  checks.push_back(std::move(proven.findings.strength).value_or(PassedCheck("ek.chain-strength")));
  checks.push_back(std::move(proven.findings.validity).value_or(PassedCheck("ek.validity")));
  // The profile's own lists bind the issuers they are of; those given for this call must fit.
  for (const EkCrl& own : state_->crls)
    for (EkCheck& check : CheckRevocation(proven.certificates, std::span(&own, 1), now))
      if (check.rule != "crl.issuer") checks.push_back(std::move(check));
  for (EkCheck& check : CheckRevocation(proven.certificates, crls, now))
    checks.push_back(std::move(check));
  return {std::move(checks), std::move(proven.certificates)};
}

Result<Unit> EkRoots::Verify(const EkCertificate& leaf, std::span<const Bytes> intermediates,
                             UnixTime now) const {
  return RequireAll(Judge(leaf, intermediates, now).checks);
}

}  // namespace sallyport::pki
