// A static HTTPS server as a mirror would run it, which can be told to misbehave; and a forward
// proxy. Both speak just enough HTTP for libcurl.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pki/base/bytes.h"
#include "pki/crypto/openssl_ptr.h"

namespace sallyport {

// What a mirror can do wrong.
enum class Misdeed : uint8_t {
  kNone,
  kWrongBytes,    // of the same length
  kEndless,       // far more than was asked for
  kTruncated,     // ends in the middle, as announced
  kBreaksOff,     // closes in the middle of what it announced
  kIgnoresRange,  // 200 and the whole file
  kOtherRange,    // 206 and another part
  kNoRangeHead,   // 206 without saying what it sends
  kRedirects,     // to a place of its choice
  kTrickles,      // some bytes now and then
  kStalls,        // nothing after the head
};

class HttpsServer {
 public:
  // The certificate is self-signed for 127.0.0.1; `ca_pem` is what to trust.
  HttpsServer();
  ~HttpsServer();
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;

  void Put(const std::string& path, Bytes content) { files_["/" + path] = std::move(content); }
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  const std::string& ca_pem() const { return ca_pem_; }

  std::atomic<Misdeed> misdeed = Misdeed::kNone;
  std::atomic<int> connections = 0;
  std::atomic<int> requests = 0;
  std::atomic<uint64_t> body_bytes = 0;
  std::atomic<int> client_certificates = 0;
  std::string redirect_to;

 private:
  void Accept();
  void Serve(int fd);
  bool Answer(SSL* ssl, const std::string& head);
  bool Send(SSL* ssl, ByteView bytes);
  bool StopsWithin(std::chrono::milliseconds time);
  bool SendBody(SSL* ssl, ByteView body);

  pki::Owned<SSL_CTX, SSL_CTX_free> context_;
  std::string ca_pem_;
  std::map<std::string, Bytes> files_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;  // guards open_, workers_, and changes of stopping_
  std::condition_variable stopped_;
  std::vector<int> open_;
  std::vector<std::thread> workers_;
  std::thread thread_;
};

// ConnectProxy answers CONNECT and passes bytes on.
class ConnectProxy {
 public:
  ConnectProxy();
  ~ConnectProxy();
  ConnectProxy(const ConnectProxy&) = delete;
  ConnectProxy& operator=(const ConnectProxy&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }
  std::vector<std::string> targets() const;

 private:
  void Accept();
  void Relay(int client);

  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;  // guards targets_, workers_
  std::vector<std::string> targets_;
  std::vector<std::thread> workers_;
  std::thread thread_;
};

// TlsFront is a ConnectProxy that is reached by https: it takes TLS off and passes bytes on to one.
class TlsFront {
 public:
  TlsFront();
  ~TlsFront();
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  const std::string& ca_pem() const { return ca_pem_; }
  const ConnectProxy& proxy() const { return proxy_; }

 private:
  void Accept();
  void Relay(int client);

  ConnectProxy proxy_;
  pki::Owned<SSL_CTX, SSL_CTX_free> context_;
  std::string ca_pem_;
  int listener_ = -1;
  int port_ = 0;
  std::mutex mutex_;  // guards workers_
  std::vector<std::thread> workers_;
  std::thread thread_;
};

}  // namespace sallyport
