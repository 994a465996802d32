#include "device-client/update/content_client.h"

#include <algorithm>

#include "device-client/tpm/tls_key_provider.h"
#include "pki/x509/certificate.h"
#include "pki/x509/pem.h"

namespace sallyport::device {
namespace {

curl_blob Borrow(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
}

// libcurl judges certificates by the wall clock, which a dead battery sets to 1970.
CURLcode OnTlsContext(CURL* /*handle*/, void* ssl_ctx, void* endpoint) {
  JudgeCertificatesAt(ssl_ctx, static_cast<const ContentEndpoint*>(endpoint)->now());
  return CURLE_OK;
}

class ServerTransfer final : public HttpTransfer {
 public:
  ServerTransfer(const CurlHandles& handles, const HttpPlace& place, const ContentRequest& request,
                 const ContentEndpoint& endpoint, const TlsIdentity& identity)
      : HttpTransfer(handles, place, request), endpoint_(endpoint), identity_(identity) {}

 private:
  bool Secure() override;
  Result<Unit> CheckPeer() override;
  Result<Unit> CheckName(std::string_view pem) const;

  const ContentEndpoint& endpoint_;
  const TlsIdentity& identity_;
};

// The server's name is its SPIFFE id, which CheckPeer compares; the chain is judged by libcurl,
// under our anchors alone: without an empty CAPATH it would trust the system's authorities too.
bool ServerTransfer::Secure() {
  curl_blob anchors = Borrow(endpoint_.anchors_pem);
  curl_blob chain = Borrow(identity_.chain_pem);
  curl_blob key = Borrow(identity_.key->pem());
  const bool timed =
      !endpoint_.now || (Set(CURLOPT_SSL_CTX_FUNCTION, &OnTlsContext) &&
                         Set(CURLOPT_SSL_CTX_DATA, const_cast<ContentEndpoint*>(&endpoint_)));
  return timed && Set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_3}) &&
         Set(CURLOPT_SSL_VERIFYPEER, 1L) && Set(CURLOPT_SSL_VERIFYHOST, 0L) &&
         Set(CURLOPT_CERTINFO, 1L) && Set(CURLOPT_SSL_SESSIONID_CACHE, 0L) &&
         Set(CURLOPT_CAINFO_BLOB, &anchors) && Set(CURLOPT_CAPATH, static_cast<char*>(nullptr)) &&
         Set(CURLOPT_SSLCERT_BLOB, &chain) && Set(CURLOPT_SSLKEY_BLOB, &key);
}

// The certificate that libcurl has verified against the anchors must name a server of ours. A
// handle has one connection; on one that it kept, the name was checked before.
Result<Unit> ServerTransfer::CheckPeer() {
  constexpr std::string_view kField = "Cert:";
  long made = 1;
  curl_easy_getinfo(curl(), CURLINFO_NUM_CONNECTS, &made);
  if (made == 0) return Unit{};
  curl_certinfo* info = nullptr;
  if (curl_easy_getinfo(curl(), CURLINFO_CERTINFO, &info) != CURLE_OK || info == nullptr ||
      info->num_of_certs < 1)
    return UnknownServer("the server showed no certificate");
  for (const curl_slist* entry = info->certinfo[0]; entry != nullptr; entry = entry->next) {
    const std::string_view text = entry->data;
    if (text.starts_with(kField)) return CheckName(text.substr(kField.size()));
  }
  return UnknownServer("the server showed no certificate");
}

Result<Unit> ServerTransfer::CheckName(std::string_view pem) const {
  const auto chain = pki::ParseCertificatePem(pem);
  if (!chain) return UnknownServer("the server's certificate does not parse");
  const auto leaf = pki::ParseIdentityCertificate(chain->front());
  if (!leaf) return UnknownServer("the server's certificate: " + leaf.error().ToString());
  if (std::ranges::find(endpoint_.server_ids, leaf->spiffe_id.text()) == endpoint_.server_ids.end())
    return UnknownServer("the peer is " + leaf->spiffe_id.text());
  return Unit{};
}

template <typename Ask>
auto WithIdentity(const IdentitySource& source, Ask ask) -> decltype(ask(*source())) {
  const std::optional<TlsIdentity> identity = source();
  if (!identity)
    return Error{Reason::kUnauthenticated, "no certificate yet", "content.no-identity"};
  return ask(*identity);
}

}  // namespace

ContentClient::ContentClient(ContentEndpoint endpoint, IdentitySource identity)
    : endpoint_(std::move(endpoint)),
      identity_(std::move(identity)),
      place_{"https://" + endpoint_.address + "/image/", endpoint_.proxy,
             endpoint_.stall_seconds_max, 0, endpoint_.proxy_ca_file} {}

Result<Unit> ContentClient::Get(const ContentRequest& request, ota::ByteSink& sink) const {
  return WithIdentity(identity_, [&](const TlsIdentity& identity) {
    return ServerTransfer(handles_, place_, request, endpoint_, identity).Get(sink);
  });
}

Result<uint64_t> ContentClient::Size(const std::string& path) const {
  return WithIdentity(identity_, [&](const TlsIdentity& identity) {
    const ContentRequest request{path, 0, 0, 0};
    return ServerTransfer(handles_, place_, request, endpoint_, identity).Size();
  });
}

}  // namespace sallyport::device
