// A check of our own listeners from the outside: gRPC has no option for the lowest TLS version, so what was
// configured is proved by asking.
#pragma once

#include <string>

#include "pki/base/result.h"

namespace sallyport::server {

// ProbeRefusesTls12 offers nothing above TLS 1.2 to "host:port". Ok when the server answers with an alert;
// kInternal ("tls.1-2-accepted") when it answers with a ServerHello, whatever follows; kUnavailable when
// nothing answers in TLS within two seconds. Blocks.
Result<Unit> ProbeRefusesTls12(const std::string& address);

}  // namespace sallyport::server
