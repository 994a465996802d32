#include "pki/crypto/roca.h"

#include <numeric>
#include <optional>

namespace sallyport::pki {
namespace {

constexpr uint32_t kGenerator = 65537;
// RSALib's primorial for the shortest keys; those for longer ones are multiples of it.
constexpr uint32_t kPrimes[] = {3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
                                47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
                                107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};

// Congruence is x = remainder (mod modulus). The least common multiple of all orders has 62 bits.
struct Congruence {
  uint64_t remainder = 0;
  uint64_t modulus = 1;
};

uint32_t Residue(ByteView number, uint32_t prime) {
  uint32_t rest = 0;
  for (const uint8_t byte : number) rest = (rest * 256 + byte) % prime;
  return rest;
}

// Logarithm of `value` to the base 65537 modulo `prime`, modulo the order of 65537.
std::optional<Congruence> Logarithm(uint32_t value, uint32_t prime) {
  std::optional<uint64_t> found;
  uint32_t power = 1;
  uint64_t exponent = 0;
  do {
    if (power == value) found = exponent;
    power = power * (kGenerator % prime) % prime;
    ++exponent;
  } while (power != 1);
  if (!found.has_value()) return std::nullopt;
  return Congruence{*found, exponent};
}

// Both is the congruence that holds when `a` and `b` do.
std::optional<Congruence> Both(const Congruence& a, const Congruence& b) {
  const uint64_t joined = std::lcm(a.modulus, b.modulus);
  for (uint64_t x = a.remainder; x < joined; x += a.modulus)
    if (x % b.modulus == b.remainder) return Congruence{x, joined};
  return std::nullopt;
}

}  // namespace

bool HasRocaFingerprint(ByteView modulus) {
  Congruence exponent;
  for (const uint32_t prime : kPrimes) {
    const std::optional<Congruence> here = Logarithm(Residue(modulus, prime), prime);
    if (!here.has_value()) return false;
    const std::optional<Congruence> both = Both(exponent, *here);
    if (!both.has_value()) return false;
    exponent = *both;
  }
  return true;
}

}  // namespace sallyport::pki
