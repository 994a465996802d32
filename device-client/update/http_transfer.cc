#include "device-client/update/http_transfer.h"

#include <sys/socket.h>

#include <algorithm>
#include <charconv>

namespace sallyport::device {
namespace {

constexpr long kOk = 200;
constexpr long kPartial = 206;
constexpr long kRedirectFirst = 300;
constexpr long kUnauthorised = 401;
constexpr long kForbidden = 403;
constexpr long kNotFound = 404;

constexpr long kReadBytes = 64 << 10;  // what a sink gets at once, at most
constexpr size_t kIdleHandlesMax = 4;  // more downloads at once are rare, and reconnect
// A reader that is held back (device-client/update/bandwidth.h) must not let the kernel swallow
// megabytes at once and then nothing for so long that the server gives it up.
constexpr int kReceiveBufferBytes = 256 << 10;

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

int OnSocket(void* /*unused*/, curl_socket_t fd, curlsocktype /*purpose*/) {
  const int size = kReceiveBufferBytes;
  static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
  return CURL_SOCKOPT_OK;
}

bool ReadNumber(std::string_view& text, uint64_t& out) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  return true;
}

bool Skip(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// HeaderValue returns what follows `name:` in a line of the head, whatever its case.
std::optional<std::string_view> HeaderValue(std::string_view line, std::string_view name) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  if (line.size() <= name.size() || line[name.size()] != ':' ||
      !std::ranges::equal(line.substr(0, name.size()), name, same))
    return std::nullopt;
  line.remove_prefix(name.size() + 1);
  while (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

void InitialiseOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

Error UnknownServer(std::string why) {
  return Error{Reason::kUnavailable, std::move(why), "content.server"};
}

CurlHandles::CurlHandles() { InitialiseOnce(); }

CurlHandle CurlHandles::Take() const {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return CurlHandle(curl_easy_init());
  CurlHandle handle = std::move(idle_.back());
  idle_.pop_back();
  return handle;
}

void CurlHandles::Keep(CurlHandle handle) const {
  if (!handle) return;
  curl_easy_reset(handle.get());  // options go, connections stay
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kIdleHandlesMax) idle_.push_back(std::move(handle));
}

HttpTransfer::HttpTransfer(const CurlHandles& handles, const HttpPlace& place,
                           const ContentRequest& request)
    : handles_(handles),
      place_(place),
      request_(request),
      url_(place.base + UrlPath(request.path)),
      handle_(handles.Take()) {}

// A connection whose peer was not found good is never used again.
HttpTransfer::~HttpTransfer() {
  if (judged_) handles_.Keep(std::move(handle_));
}

long HttpTransfer::status() const {
  long value = 0;
  curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &value);
  return value;
}

bool HttpTransfer::SetLimits() {
  return Set(CURLOPT_CONNECTTIMEOUT, kContentConnectSecondsMax) &&
         Set(CURLOPT_LOW_SPEED_LIMIT, kContentBytesPerSecondMin) &&
         Set(CURLOPT_LOW_SPEED_TIME, place_.stall_seconds_max) && Set(CURLOPT_NOSIGNAL, 1L) &&
         Set(CURLOPT_PROTOCOLS_STR, "http,https") && Set(CURLOPT_FOLLOWLOCATION, 0L) &&
         Set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}) &&
         Set(CURLOPT_PROXY, place_.proxy.c_str()) && Set(CURLOPT_NOPROXY, "") &&
         Set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) && Set(CURLOPT_MAXCONNECTS, 1L) &&
         Set(CURLOPT_BUFFERSIZE, kReadBytes) && Set(CURLOPT_SOCKOPTFUNCTION, &OnSocket) &&
         Set(CURLOPT_FAILONERROR, 1L);
}

// The proxy sees neither the device's certificate nor what passes: both are of the TLS connection
// inside.
bool HttpTransfer::SecureProxy() {
  if (!place_.proxy.starts_with("https://")) return true;
  const bool pinned =
      place_.proxy_ca_file.empty() || (Set(CURLOPT_PROXY_CAINFO, place_.proxy_ca_file.c_str()) &&
                                       Set(CURLOPT_PROXY_CAPATH, static_cast<char*>(nullptr)));
  return pinned && Set(CURLOPT_PROXY_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2}) &&
         Set(CURLOPT_PROXY_SSL_VERIFYPEER, 1L) && Set(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
}

Result<Unit> HttpTransfer::Configure() {
  bool ok = handle_ && Set(CURLOPT_URL, url_.c_str()) && SetLimits() && SecureProxy() && Secure() &&
            Set(CURLOPT_HEADERFUNCTION, &HttpTransfer::OnHeader) &&
            Set(CURLOPT_HEADERDATA, static_cast<void*>(this)) &&
            Set(CURLOPT_WRITEFUNCTION, &HttpTransfer::OnBody) &&
            Set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  if (request_.length > 0) {
    const std::string range = std::to_string(request_.offset) + "-" +
                              std::to_string(request_.offset + request_.length - 1);
    ok = ok && Set(CURLOPT_RANGE, range.c_str());
  }
  if (!ok) return Error{Reason::kInternal, "libcurl refuses an option"};
  return Unit{};
}

Result<Unit> HttpTransfer::CheckRange() {
  const uint64_t last = request_.offset + request_.length - 1;
  if (request_.length > 0 && range_ && range_->first == request_.offset && range_->last <= last)
    return Unit{};
  return Error{Reason::kMismatch, "the server sends another range", "content.range"};
}

Result<Unit> HttpTransfer::CheckStatus() {
  const long code = status();
  if (code == kPartial) return CheckRange();
  if (code >= kRedirectFirst)
    return Error{Reason::kUnavailable, "HTTP status " + std::to_string(code), "content.redirect"};
  if (code != kOk || request_.offset > place_.skip_bytes_max)
    return Error{Reason::kMismatch, "HTTP status " + std::to_string(code) + " for a range",
                 "content.range"};
  skip_ = request_.offset;
  return Unit{};
}

Result<Unit> HttpTransfer::Judge() {
  if (judged_) return Unit{};
  SP_TRY(CheckPeer());
  SP_TRY(CheckStatus());
  judged_ = true;
  return Unit{};
}

Result<Unit> HttpTransfer::Accept(ByteView bytes) {
  SP_TRY(Judge());
  const auto skipped = static_cast<size_t>(std::min<uint64_t>(skip_, bytes.size()));
  skip_ -= skipped;
  bytes = bytes.subspan(skipped);
  const uint64_t room = (request_.length > 0 ? request_.length : request_.size_max) - received_;
  const bool ranged = request_.length > 0 && status() == kOk;
  const auto taken = static_cast<size_t>(std::min<uint64_t>(room, bytes.size()));
  if (taken > 0) SP_TRY(sink_->Write(bytes.first(taken)));
  received_ += taken;
  whole_ = ranged && received_ == request_.length;
  if (taken == bytes.size() || whole_) return Unit{};
  return Error{Reason::kTooLarge,
               request_.path + ": above " +
                   std::to_string(request_.length > 0 ? request_.length : request_.size_max) +
                   " bytes",
               "content.size"};
}

size_t HttpTransfer::OnBody(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<HttpTransfer*>(self);
  auto accepted = transfer.Accept(ByteView(reinterpret_cast<const uint8_t*>(data), size * count));
  if (!accepted) transfer.refusal_ = std::move(accepted).error();
  return transfer.refusal_ || transfer.whole_ ? 0 : size * count;
}

size_t HttpTransfer::OnHeader(char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<HttpTransfer*>(self);
  std::optional<std::string_view> value =
      HeaderValue(std::string_view(data, size * count), "content-range");
  if (!value) return size * count;
  Span range{};
  const bool good = !transfer.range_ && Skip(*value, "bytes ") && ReadNumber(*value, range.first) &&
                    Skip(*value, "-") && ReadNumber(*value, range.last) && Skip(*value, "/") &&
                    range.first <= range.last;
  transfer.range_ = good ? range : Span{UINT64_MAX, UINT64_MAX};
  return size * count;
}

Error HttpTransfer::FailureOf(CURLcode code) const {
  long proxy_verdict = 0;
  curl_easy_getinfo(handle_.get(), CURLINFO_PROXY_SSL_VERIFYRESULT, &proxy_verdict);
  if (code == CURLE_PEER_FAILED_VERIFICATION && proxy_verdict != 0)
    return Error{Reason::kUnavailable,
                 "the proxy's certificate does not lead to an accepted issuer", "content.proxy"};
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
    return UnknownServer("its certificate does not lead to an accepted issuer");
  if (status() == kNotFound) return Error{Reason::kNotFound, request_.path};
  if (status() == kForbidden || status() == kUnauthorised)
    return Error{Reason::kUnauthenticated, "the content server refuses this device",
                 "content.refused"};
  if (code == CURLE_HTTP_RETURNED_ERROR)
    return Error{Reason::kUnavailable, "HTTP status " + std::to_string(status()), "content.status"};
  return Error{Reason::kUnavailable, request_.path + ": " + curl_easy_strerror(code)};
}

Result<Unit> HttpTransfer::Conclude(CURLcode code) {
  if (refusal_) return *std::move(refusal_);
  if (whole_) return Unit{};
  if (code != CURLE_OK) return FailureOf(code);
  SP_TRY(Judge());  // an empty body never reached Accept
  if (received_ < request_.length)
    return Error{Reason::kUnavailable, request_.path + " ends early", "content.truncated"};
  return Unit{};
}

Result<Unit> HttpTransfer::Get(ota::ByteSink& sink) {
  sink_ = &sink;
  SP_TRY(Configure());
  return Conclude(curl_easy_perform(handle_.get()));
}

Result<uint64_t> HttpTransfer::Size() {
  SP_TRY(Configure());
  if (!Set(CURLOPT_NOBODY, 1L)) return Error{Reason::kInternal, "libcurl refuses an option"};
  SP_TRY(Conclude(curl_easy_perform(handle_.get())));
  curl_off_t size = -1;
  curl_easy_getinfo(handle_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
  if (size < 0)
    return Error{Reason::kUnavailable, "the server does not say how long the file is",
                 "content.size"};
  return static_cast<uint64_t>(size);
}

}  // namespace sallyport::device
