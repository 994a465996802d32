#include "pki/crypto/roca.h"

#include <gtest/gtest.h>

#include "pki/crypto/openssl_ptr.h"
#include "pki/crypto/signature.h"

namespace sallyport::pki {
namespace {

constexpr unsigned kPrimes[] = {2,   3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,
                                43,  47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101,
                                103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};

class RocaTest : public testing::Test {
 protected:
  RocaTest() : context_(BN_CTX_new()), primorial_(BN_new()) {
    BN_set_word(primorial_.get(), 1);
    for (const unsigned prime : kPrimes) BN_mul_word(primorial_.get(), prime);
  }
  ~RocaTest() override { BN_CTX_free(context_); }

  // Factor is k * M + (65537^a mod M) as RSALib chose it, but for being prime.
  BignumPtr Factor(unsigned k, unsigned a) const {
    BignumPtr base(BN_new()), exponent(BN_new()), out(BN_new()), multiple(BN_dup(primorial_.get()));
    BN_set_word(base.get(), 65537);
    BN_set_word(exponent.get(), a);
    BN_mod_exp(out.get(), base.get(), exponent.get(), primorial_.get(), context_);
    BN_mul_word(multiple.get(), k);
    BN_add(out.get(), out.get(), multiple.get());
    return out;
  }
  Bytes Product(const BignumPtr& p, const BignumPtr& q) const {
    const BignumPtr n(BN_new());
    BN_mul(n.get(), p.get(), q.get(), context_);
    Bytes out(static_cast<size_t>(BN_num_bytes(n.get())));
    BN_bn2bin(n.get(), out.data());
    return out;
  }

  BN_CTX* context_;
  BignumPtr primorial_;
};

TEST_F(RocaTest, KnowsEveryModulusOfThisForm) {
  for (unsigned i = 1; i < 40; ++i)
    EXPECT_TRUE(
        HasRocaFingerprint(Product(Factor(7919 * i, 1000003 * i), Factor(104729 + i, 77 * i))))
        << i;
}

TEST_F(RocaTest, ClearsAModulusThatDiffersByOneFactor) {
  const BignumPtr other = Factor(12345, 6789);
  BN_add_word(other.get(), 2);
  EXPECT_FALSE(HasRocaFingerprint(Product(Factor(54321, 9876), other)));
}

// 65537 generates the residues of some primes alone; only one logarithm for all of them tells.
TEST_F(RocaTest, ClearsAModulusWhoseResiduesArePowersOneByOne) {
  BignumPtr shifted = Factor(1, 1);
  // A power of 65537 modulo each prime, with the exponent of 3 set apart: 65537^1 but 1 modulo 97.
  const BignumPtr step(BN_dup(primorial_.get()));
  BN_div_word(step.get(), 97);
  while (BN_mod_word(shifted.get(), 97) != 1) BN_add(shifted.get(), shifted.get(), step.get());
  const BignumPtr one(BN_new());
  BN_set_word(one.get(), 1);
  EXPECT_FALSE(HasRocaFingerprint(Product(shifted, one)));
}

TEST(HasRocaFingerprint, ClearsKeysOfOpenSsl) {
  for (int i = 0; i < 3; ++i) {
    const Bytes spki = PrivateKey::Generate(KeyType::kRsa)->public_key().spki();
    EXPECT_FALSE(HasRocaFingerprint(ByteView(spki).subspan(33, 256)));
  }
}

TEST(HasRocaFingerprint, ClearsNumbersThatAreNoModulus) {
  EXPECT_FALSE(HasRocaFingerprint({}));
  EXPECT_FALSE(HasRocaFingerprint(Bytes(256, 0)));
  EXPECT_FALSE(HasRocaFingerprint(Bytes(256, 0xff)));
}

}  // namespace
}  // namespace sallyport::pki
