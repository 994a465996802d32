#include "attestation-server/store/vocabulary.h"

namespace sallyport::server {

std::string JoinCauses(const Causes& causes) {
  std::string out;
  for (const QuarantineCause cause : causes) {
    if (!out.empty()) out += ',';
    out += TextOf(cause);
  }
  return out;
}

Result<Causes> ParseCauses(std::string_view text) {
  Causes out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    SP_TRY(const QuarantineCause cause, ParseWord<QuarantineCause>(text.substr(0, comma)));
    out.insert(cause);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return out;
}

}  // namespace sallyport::server
