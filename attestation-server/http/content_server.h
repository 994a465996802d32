// The `content` listener: immutable files of the image repository over HTTPS, to devices with a
// live lease (docs/protocol.md, "Image repository"). What it serves proves itself; who may load it
// is judged here.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "pki/base/time.h"
#include "pki/x509/chain_verifier.h"

namespace sallyport::server {

class ContentTlsGate;
class HttpListener;

// ContentTls is what new connections are shown, and whose issuers they must come from.
struct ContentTls {
  std::string private_key_pem;
  std::string chain_pem;  // leaf first
  pki::RoleAnchors anchors;
};

struct ContentOptions {
  std::string address;    // host:port
  std::string directory;  // what `/image/` shows
  pki::TrustDomain trust_domain;
};

class ContentServer {
 public:
  // Admit says per request whether the device is still wanted (its lease). Called from several
  // threads.
  using Admit = std::function<Result<Unit>(const pki::VerifiedPeer&)>;

  // Start listens. Errors of Replace and HttpListener::Start. `clock` is borrowed.
  static Result<std::unique_ptr<ContentServer>> Start(const ContentOptions& options,
                                                      const ContentTls& tls, const Clock& clock,
                                                      Admit admit);
  ~ContentServer();
  ContentServer(const ContentServer&) = delete;
  ContentServer& operator=(const ContentServer&) = delete;

  // Replace changes what connections from now on are shown and judged by; those that are open keep
  // theirs until their own certificate ends. kMalformed ("content.key", "content.chain"), kMismatch
  // ("content.key"): the old material stays. Thread-safe.
  Result<Unit> Replace(const ContentTls& tls);
  void Stop();

 private:
  ContentServer(std::unique_ptr<ContentTlsGate> gate, std::unique_ptr<HttpListener> listener);
  std::unique_ptr<ContentTlsGate> gate_;
  std::unique_ptr<HttpListener> listener_;  // uses gate_
};

}  // namespace sallyport::server
