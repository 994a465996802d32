#include "ota/payload/lzma_stream.h"

#include <lzma.h>

#include <array>

namespace sallyport::ota {
namespace {

Error BadStream(std::string detail) {
  return Error{Reason::kMalformed, std::move(detail), "payload.patch-stream"};
}

// The streams of a patch have no alignment of their own: without position bits and with four
// context bits they become half a percent smaller.
lzma_options_lzma Options() {
  lzma_options_lzma options{};
  lzma_lzma_preset(&options, 9 | LZMA_PRESET_EXTREME);
  options.dict_size = kLzmaDictionary;
  options.lc = 4;
  options.pb = 0;
  return options;
}

class Filters {
 public:
  Filters()
      : options_(Options()),
        filters_{{{LZMA_FILTER_LZMA2, &options_}, {LZMA_VLI_UNKNOWN, nullptr}}} {}
  Filters(const Filters&) = delete;
  Filters& operator=(const Filters&) = delete;
  const lzma_filter* get() const { return filters_.data(); }

 private:
  lzma_options_lzma options_;
  std::array<lzma_filter, 2> filters_;
};

}  // namespace

Result<Bytes> LzmaCompress(ByteView plain) {
  const Filters filters;
  Bytes out(lzma_stream_buffer_bound(plain.size()));
  size_t size = 0;
  if (lzma_raw_buffer_encode(filters.get(), nullptr, plain.data(), plain.size(), out.data(), &size,
                             out.size()) != LZMA_OK)
    return Error{Reason::kInternal, "liblzma does not compress"};
  out.resize(size);
  return out;
}

struct LzmaReader::State {
  Filters filters;
  lzma_stream stream = LZMA_STREAM_INIT;
  lzma_ret last = LZMA_OK;
  uint8_t surplus = 0;
};

LzmaReader::LzmaReader(ByteView data) : state_(std::make_unique<State>()) {
  state_->last = lzma_raw_decoder(&state_->stream, state_->filters.get());
  state_->stream.next_in = data.data();
  state_->stream.avail_in = data.size();
}

LzmaReader::~LzmaReader() { lzma_end(&state_->stream); }

Result<Unit> LzmaReader::Read(std::span<uint8_t> out) {
  lzma_stream& stream = state_->stream;
  stream.next_out = out.data();
  stream.avail_out = out.size();
  while (stream.avail_out > 0) {
    if (state_->last != LZMA_OK) return BadStream("the stream ends early or is corrupt");
    state_->last = lzma_code(&stream, LZMA_RUN);
  }
  return Unit{};
}

Result<Unit> LzmaReader::End() {
  state_->stream.next_out = &state_->surplus;
  state_->stream.avail_out = 1;
  while (state_->last == LZMA_OK && state_->stream.avail_out > 0)
    state_->last = lzma_code(&state_->stream, LZMA_RUN);
  if (state_->last != LZMA_STREAM_END || state_->stream.avail_out == 0 ||
      state_->stream.avail_in != 0)
    return BadStream("the stream does not end where it should");
  return Unit{};
}

}  // namespace sallyport::ota
