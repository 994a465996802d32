#include "device-client/update/mirror_client.h"

namespace sallyport::device {
namespace {

std::string WithSlash(std::string url) {
  if (!url.ends_with('/')) url += '/';
  return url;
}

class PublicTransfer final : public HttpTransfer {
 public:
  PublicTransfer(const CurlHandles& handles, const HttpPlace& place, const ContentRequest& request,
                 const MirrorEndpoint& endpoint)
      : HttpTransfer(handles, place, request), endpoint_(endpoint) {}

 private:
  bool Secure() override {
    const bool pinned =
        endpoint_.ca_file.empty() || (Set(CURLOPT_CAINFO, endpoint_.ca_file.c_str()) &&
                                      Set(CURLOPT_CAPATH, static_cast<char*>(nullptr)));
    return pinned && Set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2}) &&
           Set(CURLOPT_SSL_VERIFYPEER, 1L) && Set(CURLOPT_SSL_VERIFYHOST, 2L) &&
           Set(CURLOPT_SSL_SESSIONID_CACHE, 0L);  // a ticket would tell this device from others
  }
  Result<Unit> CheckPeer() override { return Unit{}; }  // libcurl has compared the host's name

  const MirrorEndpoint& endpoint_;
};

}  // namespace

MirrorClient::MirrorClient(MirrorEndpoint endpoint)
    : endpoint_(std::move(endpoint)),
      place_{WithSlash(endpoint_.url), endpoint_.proxy, endpoint_.stall_seconds_max,
             kMirrorSkipBytesMax, endpoint_.proxy_ca_file} {}

Result<Unit> MirrorClient::Get(const ContentRequest& request, ota::ByteSink& sink) const {
  return PublicTransfer(handles_, place_, request, endpoint_).Get(sink);
}

Result<uint64_t> MirrorClient::Size(const std::string& path) const {
  const ContentRequest request{path, 0, 0, 0};
  return PublicTransfer(handles_, place_, request, endpoint_).Size();
}

}  // namespace sallyport::device
