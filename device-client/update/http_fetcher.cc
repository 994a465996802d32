#include "device-client/update/http_fetcher.h"

namespace sallyport::device {
namespace {

class WholeFile final : public ota::ByteSink {
 public:
  Result<Unit> Write(ByteView bytes) override {
    Append(held, bytes);
    return Unit{};
  }
  Bytes held;
};

}  // namespace

Result<Bytes> HttpFetcher::FetchWhole(const std::string& path, uint64_t size_max) {
  WholeFile sink;
  SP_TRY(client_.Get({path, 0, 0, size_max}, sink));
  return std::move(sink.held);
}

Result<Bytes> HttpFetcher::FetchMetadata(const std::string& file, uint64_t size_max) {
  return FetchWhole("metadata/" + file, size_max);
}

Result<Bytes> HttpFetcher::FetchTarget(const std::string& path, uint64_t size_max) {
  return FetchWhole("targets/" + path, size_max);
}

}  // namespace sallyport::device
