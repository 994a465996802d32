#include "pki/x509/pem.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
constexpr size_t kLine = 64;
constexpr size_t kPemBytesMax = kPemChainMax * (kCertificateBytesMax * 3 / 2);

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view SkipSpace(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  return text;
}

Error Malformed(std::string_view why) {
  return Error{Reason::kMalformed, "certificate pem: " + std::string(why), "pem.malformed"};
}

// TakeBlock reads one block off the front of `text`.
Result<Bytes> TakeBlock(std::string_view& text) {
  if (!text.starts_with(kBegin)) return Malformed("no BEGIN CERTIFICATE");
  text.remove_prefix(kBegin.size());
  const size_t end = text.find(kEnd);
  if (end == std::string_view::npos) return Malformed("no END CERTIFICATE");
  std::string body(text.substr(0, end));
  std::erase_if(body, IsSpace);
  text = SkipSpace(text.substr(end + kEnd.size()));
  Result<Bytes> der = Base64Decode(body);
  if (!der.has_value()) return Malformed("base64");
  if (der->empty()) return Malformed("empty block");
  return der;
}

}  // namespace

std::string CertificatePem(ByteView der) {
  const std::string body = Base64Encode(der);
  std::string out = std::string(kBegin) + "\n";
  for (size_t at = 0; at < body.size(); at += kLine) out += body.substr(at, kLine) + "\n";
  return out + std::string(kEnd) + "\n";
}

Result<std::vector<Bytes>> ParseCertificatePem(std::string_view text) {
  if (text.size() > kPemBytesMax) return Error{Reason::kTooLarge, "certificate pem", "pem.size"};
  text = SkipSpace(text);
  std::vector<Bytes> out;
  do {
    if (out.size() == kPemChainMax)
      return Error{Reason::kTooLarge, "too many certificates", "pem.count"};
    SP_TRY(Bytes der, TakeBlock(text));
    out.push_back(std::move(der));
  } while (!text.empty());
  return out;
}

}  // namespace sallyport::pki
