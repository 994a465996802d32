#include "device-client/update/site_cache_server.h"

#include <httplib.h>

#include <array>

#include "pki/base/content_request.h"
#include "pki/base/log.h"

namespace sallyport::device {
namespace {

constexpr std::string_view kPrefix = "/image/";
constexpr unsigned kThreads = 32;  // neighbours at once; a thread serves one connection
constexpr size_t kReadBytes = size_t{64} << 10;
constexpr time_t kIdleSeconds = 2;  // Stop waits this long for idle connections
constexpr time_t kStallSeconds = 10;
// Not a text type: the library would compress it.
constexpr const char* kMediaType = "application/octet-stream";

constexpr int kNotFound = 404;
constexpr int kMethodNotAllowed = 405;
constexpr int kRangeNotSatisfiable = 416;
constexpr int kBadGateway = 502;
constexpr int kInsufficientStorage = 507;

int StatusOf(const Error& error) {
  if (error.reason == Reason::kNotFound) return kNotFound;
  return error.reason == Reason::kNoSpace ? kInsufficientStorage : kBadGateway;
}

// SO_REUSEPORT, the library's default, would let a second process share our port in silence.
void OwnThePort(socket_t socket) {
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

// SetRange puts the one range we accept where the library takes it from.
bool SetRange(const httplib::Request& request, uint64_t size) {
  if (!request.has_header("Range")) return true;
  auto& ranges = const_cast<httplib::Ranges&>(request.ranges);
  ranges.clear();
  const Result<ContentRange> range = ParseRange(request.get_header_value("Range"), size);
  if (!range || request.get_header_value_count("Range") != 1) return false;
  ranges.emplace_back(static_cast<ssize_t>(range->first), static_cast<ssize_t>(range->last));
  return true;
}

bool SendPart(SiteCache::Reader& reader, size_t offset, size_t length, httplib::DataSink& sink) {
  std::array<uint8_t, kReadBytes> buffer;
  const Result<size_t> got =
      reader.ReadAt(offset, std::span(buffer).first(std::min(length, buffer.size())));
  return got && *got > 0 && sink.write(reinterpret_cast<const char*>(buffer.data()), *got);
}

void Refuse(const httplib::Request& request, httplib::Response& response, int status) {
  const_cast<httplib::Ranges&>(request.ranges).clear();  // a refusal is never cut to a range
  response.status = status;
}

void Serve(SiteCache& cache, const httplib::Request& request, httplib::Response& response) {
  if (request.method != "GET" && request.method != "HEAD")
    return Refuse(request, response, kMethodNotAllowed);
  if (!request.target.starts_with(kPrefix)) return Refuse(request, response, kNotFound);
  auto opened = cache.Open(request.target.substr(kPrefix.size()));
  if (!opened) {
    Log(LogLevel::kInfo, "site_cache_refused", {{"reason", opened.error().ToString()}});
    return Refuse(request, response, StatusOf(opened.error()));
  }
  const std::shared_ptr<SiteCache::Reader> reader = *std::move(opened);
  if (!SetRange(request, reader->size())) return Refuse(request, response, kRangeNotSatisfiable);
  response.set_header("Accept-Ranges", "bytes");
  if (reader->size() == 0) return response.set_content("", kMediaType);
  response.set_content_provider(static_cast<size_t>(reader->size()), kMediaType,
                                [reader](size_t offset, size_t length, httplib::DataSink& sink) {
                                  return SendPart(*reader, offset, length, sink);
                                });
}

}  // namespace

SiteCacheServer::SiteCacheServer(std::unique_ptr<httplib::Server> server)
    : server_(std::move(server)) {}

Result<std::unique_ptr<SiteCacheServer>> SiteCacheServer::Start(const std::string& address,
                                                                SiteCache& cache) {
  auto http = std::make_unique<httplib::Server>();
  http->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  http->set_socket_options(OwnThePort);
  http->set_keep_alive_timeout(kIdleSeconds);
  http->set_read_timeout(kStallSeconds);
  http->set_write_timeout(kStallSeconds);
  http->set_payload_max_length(0);  // no request of ours has a body
  http->set_pre_routing_handler(
      [&cache](const httplib::Request& request, httplib::Response& response) {
        Serve(cache, request, response);
        return httplib::Server::HandlerResponse::Handled;
      });
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!http->bind_to_port(host, std::atoi(address.c_str() + colon + 1)))
    return Error{Reason::kUnavailable, "cannot listen on " + address, "cache.bind"};
  std::unique_ptr<SiteCacheServer> server(new SiteCacheServer(std::move(http)));
  server->thread_ = std::thread([self = server.get()] { self->server_->listen_after_bind(); });
  // stop() before the loop runs is lost.
  while (!server->server_->is_running()) std::this_thread::yield();
  return server;
}

SiteCacheServer::~SiteCacheServer() {
  server_->stop();
  thread_.join();
}

}  // namespace sallyport::device
