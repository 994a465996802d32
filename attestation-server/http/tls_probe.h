// A check of our own listeners from the outside: gRPC has no option for the lowest TLS version, so
// what was configured is proved by asking.
#pragma once

#include <string>

#include "pki/base/result.h"

namespace sallyport::server {

// ProbeRefusesTls12 offers TLS 1.2 and then TLS 1.3 to "host:port". Ok when the server refuses the
// first and answers the second with a ServerHello; kInternal ("tls.1-2-accepted") when it answers
// the first with one, whatever follows; kUnavailable ("tls.no-answer") when nothing answers in
// TLS 1.3, or not within two seconds. Blocks.
Result<Unit> ProbeRefusesTls12(const std::string& address);

}  // namespace sallyport::server
