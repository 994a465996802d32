// Log lines are an event name and fields: `event=quote_rejected reason=stale-nonce device=...`.
// Never a secret, nonce or key. Decisions about security also go to the audit store. Thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace sallyport {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

struct LogField {
  std::string_view key;
  std::string value;
};

// Log writes one line to standard error; values with spaces or quotes are quoted and escaped.
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
// SetLogLevel drops lines below `level`. Called once, in main.
void SetLogLevel(LogLevel level);

}  // namespace sallyport
