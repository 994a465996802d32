#include "pki/crypto/secret.h"

#include <type_traits>

#include "tests/fakes/fake_random.h"

namespace sallyport::pki {
namespace {

template <typename T>
concept Comparable = requires(const T& a, const T& b) { a == b; };

static_assert(!std::is_copy_constructible_v<SecretBytes> &&
              !std::is_copy_constructible_v<Secret<32>>);
static_assert(!Comparable<SecretBytes> && !Comparable<Secret<32>>);

TEST(SecretBytes, KeepsWhatItWasGiven) {
  const SecretBytes secret = SecretBytes::CopyOf(AsBytes("hunter2"));

  EXPECT_EQ(AsText(secret.view()), "hunter2");
  EXPECT_TRUE(secret.Matches(AsBytes("hunter2")));
}

TEST(SecretBytes, MatchesNeitherOtherBytesNorOtherSizes) {
  const SecretBytes secret = SecretBytes::CopyOf(AsBytes("hunter2"));

  EXPECT_FALSE(secret.Matches(AsBytes("hunter3")));
  EXPECT_FALSE(secret.Matches(AsBytes("hunter")));
  EXPECT_FALSE(secret.Matches({}));
}

TEST(SecretBytes, IsEmptyAfterAMove) {
  SecretBytes secret = SecretBytes::CopyOf(AsBytes("hunter2"));
  const SecretBytes moved = std::move(secret);

  EXPECT_EQ(secret.size(), 0u);  // NOLINT(bugprone-use-after-move): that it is empty is the point
  EXPECT_TRUE(moved.Matches(AsBytes("hunter2")));
}

TEST(Secret, RefusesAnotherSize) {
  EXPECT_EQ(Secret<32>::FromView(Bytes(31)).error().reason, Reason::kMalformed);
  EXPECT_EQ(Secret<32>::FromView(Bytes(33)).error().reason, Reason::kMalformed);
}

TEST(Secret, DiffersFromTheNextOne) {
  FakeRandom random;
  const auto first = Secret<32>::Generate(random);

  EXPECT_FALSE(Secret<32>::Generate(random).Matches(first.view()));
}

TEST(WipeBytes, LeavesZeros) {
  Bytes bytes = ToBytes("hunter2");
  WipeBytes(bytes);
  EXPECT_EQ(bytes, Bytes(7, 0));
}

}  // namespace
}  // namespace sallyport::pki
