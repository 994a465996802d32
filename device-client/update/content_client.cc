#include "device-client/update/content_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "device-client/tpm/tls_key_provider.h"
#include "pki/x509/certificate.h"
#include "pki/x509/pem.h"

namespace sallyport::device {
namespace {

constexpr long kOk = 200;
constexpr long kPartial = 206;
constexpr long kUnauthorised = 401;
constexpr long kForbidden = 403;
constexpr long kNotFound = 404;

struct FreeCurl {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, FreeCurl>;

Error UnknownServer(std::string why) {
  return Error{Reason::kUnavailable, std::move(why), "content.server"};
}

// UrlPath percent-encodes everything but the characters that file names of ours have.
std::string UrlPath(std::string_view path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/+";
  std::string out;
  for (const char c : path) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    out += "%" + HexEncode(ByteView(&byte, 1));
  }
  return out;
}

// Transfer is one request and what its callbacks need.
class Transfer {
 public:
  Transfer(const ContentEndpoint& endpoint, const ContentRequest& request, ota::ByteSink& sink)
      : endpoint_(endpoint), request_(request), sink_(sink), handle_(curl_easy_init()) {}

  Result<Unit> Run(const TlsIdentity& identity);

 private:
  Result<Unit> Configure(const TlsIdentity& identity);
  Result<Unit> CheckServer() const;
  Result<Unit> CheckStatus() const;
  Result<Unit> Accept(ByteView bytes);
  Error FailureOf(CURLcode code) const;
  long status() const {
    long value = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &value);
    return value;
  }

  static size_t OnBody(char* data, size_t size, size_t count, void* self);

  const ContentEndpoint& endpoint_;
  const ContentRequest& request_;
  ota::ByteSink& sink_;
  Handle handle_;
  bool judged_ = false;
  uint64_t received_ = 0;
  std::optional<Error> refusal_;
};

curl_blob Borrow(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
}

template <typename T>
bool Set(const Handle& handle, CURLoption option, T value) {
  return curl_easy_setopt(handle.get(), option, value) == CURLE_OK;
}

bool SetTls(const Handle& handle, const ContentEndpoint& endpoint, const TlsIdentity& identity) {
  curl_blob anchors = Borrow(endpoint.anchors_pem);
  curl_blob chain = Borrow(identity.chain_pem);
  curl_blob key = Borrow(identity.key->pem());
  // The server's name is its SPIFFE id, which CheckServer compares; the chain is judged by libcurl,
  // under our anchors alone: without an empty CAPATH it would trust the system's authorities too.
  return Set(handle, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_3}) &&
         Set(handle, CURLOPT_SSL_VERIFYPEER, 1L) && Set(handle, CURLOPT_SSL_VERIFYHOST, 0L) &&
         Set(handle, CURLOPT_CERTINFO, 1L) && Set(handle, CURLOPT_SSL_SESSIONID_CACHE, 0L) &&
         Set(handle, CURLOPT_CAINFO_BLOB, &anchors) &&
         Set(handle, CURLOPT_CAPATH, static_cast<char*>(nullptr)) &&
         Set(handle, CURLOPT_SSLCERT_BLOB, &chain) && Set(handle, CURLOPT_SSLKEY_BLOB, &key);
}

// SetTime: libcurl judges certificates by the wall clock, which a dead battery sets to 1970.
CURLcode OnTlsContext(CURL* /*handle*/, void* ssl_ctx, void* endpoint) {
  JudgeCertificatesAt(ssl_ctx, static_cast<const ContentEndpoint*>(endpoint)->now());
  return CURLE_OK;
}
bool SetTime(const Handle& handle, const ContentEndpoint& endpoint) {
  if (!endpoint.now) return true;
  return Set(handle, CURLOPT_SSL_CTX_FUNCTION, &OnTlsContext) &&
         Set(handle, CURLOPT_SSL_CTX_DATA, const_cast<ContentEndpoint*>(&endpoint));
}

bool SetLimits(const Handle& handle, const ContentEndpoint& endpoint) {
  return Set(handle, CURLOPT_CONNECTTIMEOUT, kContentConnectSecondsMax) &&
         Set(handle, CURLOPT_LOW_SPEED_LIMIT, kContentBytesPerSecondMin) &&
         Set(handle, CURLOPT_LOW_SPEED_TIME, endpoint.stall_seconds_max) &&
         Set(handle, CURLOPT_NOSIGNAL, 1L) && Set(handle, CURLOPT_PROTOCOLS_STR, "https") &&
         Set(handle, CURLOPT_PROXY, "") && Set(handle, CURLOPT_FORBID_REUSE, 1L) &&
         Set(handle, CURLOPT_FAILONERROR, 1L);
}

Result<Unit> Transfer::Configure(const TlsIdentity& identity) {
  const std::string url = "https://" + endpoint_.address + "/image/" + UrlPath(request_.path);
  bool ok = handle_ && Set(handle_, CURLOPT_URL, url.c_str()) &&
            SetTls(handle_, endpoint_, identity) && SetTime(handle_, endpoint_) &&
            SetLimits(handle_, endpoint_) &&
            Set(handle_, CURLOPT_WRITEFUNCTION, &Transfer::OnBody) &&
            Set(handle_, CURLOPT_WRITEDATA, static_cast<void*>(this));
  if (request_.length > 0) {
    const std::string range = std::to_string(request_.offset) + "-" +
                              std::to_string(request_.offset + request_.length - 1);
    ok = ok && Set(handle_, CURLOPT_RANGE, range.c_str());
  }
  if (!ok) return Error{Reason::kInternal, "libcurl refuses an option"};
  return Unit{};
}

// The certificate that libcurl has verified against the anchors must name a server of ours.
Result<Unit> Transfer::CheckServer() const {
  constexpr std::string_view kField = "Cert:";
  curl_certinfo* info = nullptr;
  if (curl_easy_getinfo(handle_.get(), CURLINFO_CERTINFO, &info) != CURLE_OK || info == nullptr ||
      info->num_of_certs < 1)
    return UnknownServer("the server showed no certificate");
  for (const curl_slist* entry = info->certinfo[0]; entry != nullptr; entry = entry->next) {
    const std::string_view text = entry->data;
    if (!text.starts_with(kField)) continue;
    const auto chain = pki::ParseCertificatePem(text.substr(kField.size()));
    if (!chain) return UnknownServer("the server's certificate does not parse");
    const auto leaf = pki::ParseIdentityCertificate(chain->front());
    if (!leaf) return UnknownServer("the server's certificate: " + leaf.error().ToString());
    if (std::ranges::find(endpoint_.server_ids, leaf->spiffe_id.text()) ==
        endpoint_.server_ids.end())
      return UnknownServer("the peer is " + leaf->spiffe_id.text());
    return Unit{};
  }
  return UnknownServer("the server showed no certificate");
}

Result<Unit> Transfer::CheckStatus() const {
  const bool whole = request_.length == 0 || request_.offset == 0;
  if (status() == kPartial ? request_.length > 0 : status() == kOk && whole) return Unit{};
  return Error{Reason::kMismatch, "HTTP status " + std::to_string(status()) + " for a range",
               "content.range"};
}

Result<Unit> Transfer::Accept(ByteView bytes) {
  if (!judged_) {
    SP_TRY(CheckServer());
    SP_TRY(CheckStatus());
    judged_ = true;
  }
  if (bytes.size() > request_.size_max - received_)
    return Error{Reason::kTooLarge,
                 request_.path + ": above " + std::to_string(request_.size_max) + " bytes",
                 "content.size"};
  received_ += bytes.size();
  return sink_.Write(bytes);
}

size_t Transfer::OnBody(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  auto accepted = transfer.Accept(ByteView(reinterpret_cast<const uint8_t*>(data), size * count));
  if (accepted) return size * count;
  transfer.refusal_ = std::move(accepted).error();
  return 0;
}

Error Transfer::FailureOf(CURLcode code) const {
  if (code == CURLE_PEER_FAILED_VERIFICATION)
    return UnknownServer("its certificate does not lead to a server issuer");
  if (status() == kNotFound) return Error{Reason::kNotFound, request_.path};
  if (status() == kForbidden || status() == kUnauthorised)
    return Error{Reason::kUnauthenticated, "the content server refuses this device",
                 "content.refused"};
  return Error{Reason::kUnavailable, request_.path + ": " + curl_easy_strerror(code)};
}

Result<Unit> Transfer::Run(const TlsIdentity& identity) {
  SP_TRY(Configure(identity));
  const CURLcode code = curl_easy_perform(handle_.get());
  if (refusal_) return *std::move(refusal_);
  if (code != CURLE_OK) return FailureOf(code);
  if (judged_) return Unit{};
  return CheckServer();  // an empty body never reached Accept
}

void InitialiseOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

ContentClient::ContentClient(ContentEndpoint endpoint, IdentitySource identity)
    : endpoint_(std::move(endpoint)), identity_(std::move(identity)) {
  InitialiseOnce();
}

Result<Unit> ContentClient::Get(const ContentRequest& request, ota::ByteSink& sink) const {
  const std::optional<TlsIdentity> identity = identity_();
  if (!identity)
    return Error{Reason::kUnauthenticated, "no certificate yet", "content.no-identity"};
  return Transfer(endpoint_, request, sink).Run(*identity);
}

}  // namespace sallyport::device
