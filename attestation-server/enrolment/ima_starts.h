// ImaStarts remembers, by device id, how far the measurement list of its boot was judged.
//
// In memory, on purpose. It is a cache: what is not there is asked for again, from the first entry
// on, and costs one long answer per device after a restart. A restart also is how the configuration
// changes. In the store it would be a write per renewal, and a state that a restored backup could
// bring back.
#pragma once

#include <string>

#include "attestation-server/enrolment/bounded_cache.h"
#include "attestation-server/evidence/ima.h"

namespace sallyport::server {

using ImaStarts = BoundedCache<std::string, ImaStart>;  // thread-safe

}  // namespace sallyport::server
