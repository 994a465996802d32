#include "pki/base/random.h"

#include <sys/random.h>

#include <cerrno>

namespace sallyport {

void SystemRandom::Fill(std::span<uint8_t> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::getrandom(out.data() + done, out.size() - done, 0);
    SP_CHECK(n > 0 || errno == EINTR);
    if (n > 0) done += static_cast<size_t>(n);
  }
}

}  // namespace sallyport
