#include "attestation-server/http/content_server.h"

#include <httplib.h>

#include <array>

#include "attestation-server/http/content_files.h"
#include "attestation-server/http/content_tls.h"
#include "attestation-server/http/http_listener.h"
#include "attestation-server/http/http_server.h"
#include "pki/base/log.h"

namespace sallyport::server {
namespace {

constexpr std::string_view kPrefix = "/image/";
// Downloads at once. Each has a thread, about 120 KiB while it runs; one that takes less than 64
// KiB in ten seconds is ended (HttpListener), so that few bytes hold no place for long.
constexpr size_t kDownloadsMax = 256;
constexpr size_t kReadBytes = size_t{64} << 10;  // memory of one download, whatever the file's size
// Not a text type: the library would compress it.
constexpr const char* kMediaType = "application/octet-stream";

constexpr int kForbidden = 403;
constexpr int kNotFound = 404;
constexpr int kMethodNotAllowed = 405;
constexpr int kRangeNotSatisfiable = 416;

// Authorise judges one request of a connection that may have been opened an hour ago.
Result<Unit> Authorise(const SSL* connection, const Clock& clock,
                       const ContentServer::Admit& admit) {
  const pki::VerifiedPeer* const peer = ContentTlsGate::PeerOf(connection);
  if (peer == nullptr)
    return Error{Reason::kUnauthenticated, "no verified device", "peer.no-certificate"};
  if (clock.Wall() >= peer->certificate().not_after + Seconds(1))
    return Error{Reason::kExpired, "certificate ended during the connection", "peer.expired"};
  return admit(*peer);
}

bool SendPart(const ContentFile& file, size_t offset, size_t length, httplib::DataSink& sink) {
  std::array<char, kReadBytes> buffer;
  const Result<size_t> got =
      file.ReadAt(offset, std::span(buffer).first(std::min(length, buffer.size())));
  return got && *got > 0 && sink.write(buffer.data(), *got);
}

// NarrowRange puts the one range we accept where the library takes it from; it neither clamps a
// range to the file nor refuses one past its end. False: the range cannot be satisfied.
bool NarrowRange(const httplib::Request& request, uint64_t size) {
  if (!request.has_header("Range")) return true;
  auto& ranges = const_cast<httplib::Ranges&>(request.ranges);
  ranges.clear();
  const Result<ContentRange> range = ParseRange(request.get_header_value("Range"), size);
  if (!range || request.get_header_value_count("Range") != 1) return false;
  ranges.emplace_back(static_cast<ssize_t>(range->first), static_cast<ssize_t>(range->last));
  return true;
}

void Describe(const ContentPath& path, httplib::Response& response) {
  const std::string etag = path.etag();
  response.set_header("Accept-Ranges", "bytes");
  response.set_header("Cache-Control", etag.empty() ? "no-cache" : "private, immutable");
  if (!etag.empty()) response.set_header("ETag", etag);
}

void Serve(const std::string& directory, const httplib::Request& request,
           httplib::Response& response) {
  const Result<ContentPath> path = ContentPath::Parse(request.target, kPrefix);
  Result<ContentFile> opened = path ? ContentFile::Open(directory, *path) : path.error();
  if (!opened) {
    response.status = kNotFound;
    return;
  }
  const auto file = std::make_shared<const ContentFile>(*std::move(opened));
  if (!NarrowRange(request, file->size())) {
    response.status = kRangeNotSatisfiable;
    response.set_header("Content-Range", "bytes */" + std::to_string(file->size()));
    return;
  }
  Describe(*path, response);
  if (file->size() == 0) return response.set_content("", kMediaType);
  response.set_content_provider(file->size(), kMediaType,
                                [file](size_t offset, size_t length, httplib::DataSink& sink) {
                                  return SendPart(*file, offset, length, sink);
                                });
}

void Answer(const std::string& directory, const Clock& clock, const ContentServer::Admit& admit,
            const httplib::Request& request, httplib::Response& response) {
  const Result<Unit> authorised = Authorise(request.ssl, clock, admit);
  if (!authorised) {
    Log(LogLevel::kInfo, "content_refused", {{"rule", std::string(authorised.error().name())}});
    response.status = kForbidden;
  } else if (request.method != "GET" && request.method != "HEAD") {
    response.status = kMethodNotAllowed;
    response.set_header("Allow", "GET, HEAD");
  } else {
    return Serve(directory, request, response);
  }
  const_cast<httplib::Ranges&>(request.ranges).clear();  // a refusal is never cut to a range
}

}  // namespace

ContentServer::ContentServer(std::unique_ptr<ContentTlsGate> gate,
                             std::unique_ptr<HttpListener> listener)
    : gate_(std::move(gate)), listener_(std::move(listener)) {}
ContentServer::~ContentServer() = default;

Result<std::unique_ptr<ContentServer>> ContentServer::Start(const ContentOptions& options,
                                                            const ContentTls& tls,
                                                            const Clock& clock, Admit admit) {
  auto gate = std::make_unique<ContentTlsGate>(options.trust_domain, clock);
  SP_TRY(gate->Replace(tls));
  auto server = std::make_unique<HttpsServer>(
      kDownloadsMax, [&gate](SSL_CTX& context) { return gate->Configure(context); });
  server->set_pre_routing_handler(
      [directory = options.directory, &clock, admit = std::move(admit)](
          const httplib::Request& request, httplib::Response& response) {
        Answer(directory, clock, admit, request, response);
        return httplib::Server::HandlerResponse::Handled;
      });
  SP_TRY(auto listener, HttpListener::Start(std::move(server), options.address));
  return std::unique_ptr<ContentServer>(new ContentServer(std::move(gate), std::move(listener)));
}

Result<Unit> ContentServer::Replace(const ContentTls& tls) { return gate_->Replace(tls); }

void ContentServer::Stop() { listener_->Stop(); }

}  // namespace sallyport::server
