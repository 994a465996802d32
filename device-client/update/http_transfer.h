// HttpTransfer: one request over libcurl, for the origins of this folder. It says what is the same
// for all of them: single ranges, no redirects, no compression, limits on time and size.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "device-client/update/content_origin.h"

namespace sallyport::device {

// A server that sends slower than this is as good as gone.
inline constexpr long kContentBytesPerSecondMin = 512;
inline constexpr long kContentStallSecondsMax = 60;
inline constexpr long kContentConnectSecondsMax = 20;

struct HttpPlace {
  std::string base;   // URL to which a path is appended
  std::string proxy;  // http[s]://host:port, through which it is reached; empty: directly
  long stall_seconds_max = kContentStallSecondsMax;
  // A server that ignores ranges sends a file from its beginning; up to so much of it is read in
  // vain.
  uint64_t skip_bytes_max = 0;
  std::string proxy_ca_file = {};  // PEM, for an https proxy; empty: the system's authorities
};

struct FreeCurl {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using CurlHandle = std::unique_ptr<CURL, FreeCurl>;

// CurlHandles keeps handles with their open connections between requests to one place. Thread-safe.
class CurlHandles {
 public:
  CurlHandles();
  CurlHandle Take() const;
  void Keep(CurlHandle handle) const;

 private:
  mutable std::mutex mutex_;  // guards idle_
  mutable std::vector<CurlHandle> idle_;
};

// HttpTransfer is for one request and one thread; borrows everything it is given.
class HttpTransfer {
 public:
  HttpTransfer(const CurlHandles& handles, const HttpPlace& place, const ContentRequest& request);
  virtual ~HttpTransfer();
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  // Get: kNotFound; kUnauthenticated, content.refused; kTooLarge, content.size (more than was asked
  // for); kMismatch, content.range (another range, or more than `skip_bytes_max` before it);
  // kUnavailable, content.redirect, content.status, content.truncated, content.proxy,
  // content.server (proxy or peer is not who it has to be), or without a rule when the connection
  // fails; errors of `sink`.
  Result<Unit> Get(ota::ByteSink& sink);
  Result<uint64_t> Size();

 protected:
  // Secure sets the options of TLS. False: libcurl refuses one.
  virtual bool Secure() = 0;
  // CheckPeer is asked before the first byte of a body goes anywhere.
  virtual Result<Unit> CheckPeer() = 0;

  template <typename T>
  bool Set(CURLoption option, T value) {
    return curl_easy_setopt(handle_.get(), option, value) == CURLE_OK;
  }
  CURL* curl() const { return handle_.get(); }

 private:
  struct Span {
    uint64_t first;
    uint64_t last;
  };
  Result<Unit> Configure();
  bool SetLimits();
  bool SecureProxy();
  Result<Unit> Judge();
  Result<Unit> CheckStatus();
  Result<Unit> CheckRange();
  Result<Unit> Accept(ByteView bytes);
  Result<Unit> Conclude(CURLcode code);
  Error FailureOf(CURLcode code) const;
  long status() const;
  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  static size_t OnHeader(char* data, size_t size, size_t count, void* self);

  const CurlHandles& handles_;
  const HttpPlace& place_;
  const ContentRequest& request_;
  const std::string url_;
  CurlHandle handle_;
  ota::ByteSink* sink_ = nullptr;
  bool judged_ = false;
  bool whole_ = false;  // a complete answer: nothing of the rest is wanted
  uint64_t skip_ = 0;   // bytes before the wanted range that are still to come
  uint64_t received_ = 0;
  std::optional<Span> range_;  // that the server says it sends
  std::optional<Error> refusal_;
};

// UnknownServer is the error of CheckPeer.
Error UnknownServer(std::string why);

}  // namespace sallyport::device
