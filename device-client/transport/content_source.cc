#include "device-client/transport/content_source.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "pki/x509/certificate.h"
#include "pki/x509/pem.h"

namespace sallyport::device {
namespace {

constexpr long kConnectTimeoutSeconds = 15;
// A transfer that moves less than this for so long has stalled; a slow link may take its time.
constexpr long kStallBytesPerSecond = 16;
constexpr long kStallSeconds = 30;
constexpr std::string_view kPemField = "Cert:";

struct CurlFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using CurlPtr = std::unique_ptr<CURL, CurlFree>;

// One transfer, as libcurl's callbacks see it.
struct Transfer {
  CURL* handle;
  const std::vector<std::string>& server_ids;
  ota::ByteSink& sink;
  long expected_status;
  bool server_known = false;
  std::optional<Error> failure;  // of the sink
};

bool IsKnownServer(CURL* handle, const std::vector<std::string>& server_ids) {
  curl_certinfo* info = nullptr;
  if (curl_easy_getinfo(handle, CURLINFO_CERTINFO, &info) != CURLE_OK || info == nullptr || info->num_of_certs < 1)
    return false;
  for (const curl_slist* field = info->certinfo[0]; field != nullptr; field = field->next) {
    std::string_view text(field->data);
    if (!text.starts_with(kPemField)) continue;
    const Result<std::vector<Bytes>> der = pki::ParseCertificatePem(text.substr(kPemField.size()));
    if (!der) return false;
    const Result<pki::IdentityCertificate> leaf = pki::ParseIdentityCertificate(der->front());
    return leaf && std::ranges::find(server_ids, leaf->spiffe_id.text()) != server_ids.end();
  }
  return false;
}

// Runs between handshake and request: nothing is asked of a server that is not known.
int BeforeRequest(void* user, char*, char*, int, int) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  transfer.server_known = IsKnownServer(transfer.handle, transfer.server_ids);
  return transfer.server_known ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

size_t OnBody(char* data, size_t, size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  long status = 0;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
  if (status != transfer.expected_status) return size;  // an error page; the status is what counts
  Result<Unit> written = transfer.sink.Write(ByteView(reinterpret_cast<const uint8_t*>(data), size));
  if (written) return size;
  transfer.failure = std::move(written).error();
  return 0;
}

void SetBlob(CURL* handle, CURLoption option, const std::string& bytes) {
  curl_blob blob{const_cast<char*>(bytes.data()), bytes.size(), CURL_BLOB_COPY};
  curl_easy_setopt(handle, option, &blob);
}

Error StatusError(long status) {
  const std::string detail = "HTTP status " + std::to_string(status);
  if (status == 404) return {Reason::kNotFound, detail};
  if (status == 401 || status == 403) return {Reason::kUnauthenticated, detail};
  return {Reason::kUnavailable, detail};
}

class CollectingSink final : public ota::ByteSink {
 public:
  explicit CollectingSink(uint64_t size_max) : size_max_(size_max) {}
  Result<Unit> Write(ByteView bytes) override {
    if (bytes.size() > size_max_ - out_.size())
      return Error{Reason::kTooLarge, "more than " + std::to_string(size_max_) + " bytes", "content.size"};
    Append(out_, bytes);
    return Ok();
  }
  Bytes Take() && { return std::move(out_); }

 private:
  const uint64_t size_max_;
  Bytes out_;
};

void SetTls(CURL* handle, const ServerTrust& trust, const ClientIdentity& identity) {
  curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_3));
  SetBlob(handle, CURLOPT_CAINFO_BLOB, trust.anchors_pem);
  SetBlob(handle, CURLOPT_SSLCERT_BLOB, identity.chain_pem);
  SetBlob(handle, CURLOPT_SSLKEY_BLOB, identity.key_reference);
  curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
  // Servers are known by their SPIFFE id (BeforeRequest), wherever they run.
  curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(handle, CURLOPT_SSL_SESSIONID_CACHE, 0L);
  curl_easy_setopt(handle, CURLOPT_CERTINFO, 1L);
}

void SetHttp(CURL* handle, const std::string& url) {
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_PROXY, "");  // whatever the environment says
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
}

}  // namespace

void ContentSource::SetIdentity(ClientIdentity identity) {
  const std::lock_guard lock(identity_mutex_);
  identity_ = std::move(identity);
}

Result<Bytes> ContentSource::FetchMetadata(const std::string& file, uint64_t size_max) {
  return GetWhole("/image/metadata/" + file, size_max);
}

Result<Bytes> ContentSource::FetchTarget(const std::string& path, uint64_t size_max) {
  return GetWhole("/image/targets/" + path, size_max);
}

Result<Bytes> ContentSource::GetWhole(const std::string& path, uint64_t size_max) {
  CollectingSink sink(size_max);
  SP_TRY(Get(path, std::nullopt, sink));
  return std::move(sink).Take();
}

Result<Unit> ContentSource::Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length, ota::ByteSink& sink) {
  if (length == 0) return Ok();
  return Get("/image/targets/" + ota::ConsistentPath(file.path, HexEncode(file.sha256)), ByteRange{offset, length}, sink);
}

Result<Unit> ContentSource::Get(const std::string& path, std::optional<ByteRange> range, ota::ByteSink& sink) {
  std::optional<ClientIdentity> identity;
  {
    const std::lock_guard lock(identity_mutex_);
    identity = identity_;
  }
  if (!identity) return Error{Reason::kUnauthenticated, "no certificate yet", "content.no-identity"};
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  const CurlPtr handle(started == CURLE_OK ? curl_easy_init() : nullptr);
  if (!handle) return Error{Reason::kInternal, "libcurl does not start"};
  SetHttp(handle.get(), "https://" + address_ + path);
  SetTls(handle.get(), trust_, *identity);
  if (range) {
    const std::string text = std::to_string(range->offset) + "-" + std::to_string(range->offset + range->length - 1);
    curl_easy_setopt(handle.get(), CURLOPT_RANGE, text.c_str());
  }
  Transfer transfer{.handle = handle.get(),
                    .server_ids = trust_.server_ids,
                    .sink = sink,
                    .expected_status = range ? 206 : 200,
                    .failure = std::nullopt};
  curl_easy_setopt(handle.get(), CURLOPT_PREREQFUNCTION, BeforeRequest);
  curl_easy_setopt(handle.get(), CURLOPT_PREREQDATA, &transfer);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &transfer);
  const CURLcode code = curl_easy_perform(handle.get());
  if (transfer.failure) return *std::move(transfer.failure);
  if (code == CURLE_ABORTED_BY_CALLBACK && !transfer.server_known)
    return Error{Reason::kUnauthenticated, "not a server of the enrolment file", "content.server"};
  if (code != CURLE_OK) return Error{Reason::kUnavailable, curl_easy_strerror(code)};
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != transfer.expected_status) return StatusError(status);
  return Ok();
}

}  // namespace sallyport::device
