#include "pki/tpm/transcript.h"

#include <gtest/gtest.h>

#include <set>

namespace sallyport::pki {
namespace {

template <typename T>
T Filled(uint8_t value) {
  return *T::FromView(Bytes(T::kSize, value));
}

TranscriptFields Example() {
  return {.purpose = Purpose::kEnrol,
          .trust_domain = "edge.example",
          .server_leaf_hash = Filled<Sha256Digest>(1),
          .ticket_id = Filled<TicketId>(2),
          .nonce = Filled<Nonce>(3),
          .device_id = "abcd",
          .ek_spki_hash = Filled<Sha256Digest>(4),
          .ak_name = Bytes(34, 5),
          .tls_key_name = Bytes(34, 6),
          .csr_hash = Filled<Sha256Digest>(7),
          .event_log_hash = Filled<Sha256Digest>(8),
          .boot_slot = BootSlot::kA,
          .running_release = Filled<ReleaseDigest>(9),
          .highest_epoch = 10};
}

// Expected values computed from docs/protocol.md with Python's hashlib and hmac.
TEST(Transcript, MatchesIndependentValues) {
  const Transcript t = ComputeTranscript(Example());

  EXPECT_EQ(HexEncode(t), "1aa82584f21a89463107a7ca2f63a407109ff4b42dffe72012820c76b854c282");
  EXPECT_EQ(HexEncode(QuoteExtraData(t)),
            "f757adac0981dcbf7c1a207f0c7b46ca8942f06e0417f956c68cd31df7264c60");
  EXPECT_EQ(HexEncode(KeyQualifyingData(t)),
            "7a55bdfbc91e63c6819ed4beb479e0d570b0ca20fe106cccf9f77163d925c9a6");
  EXPECT_EQ(HexEncode(ActivationProof(Bytes(32, 11), t)),
            "dc3993adcbba2555877f7e121ab13d46b1d4c972020cd40082ca9d9db12b9d52");
}

TEST(Transcript, ChangesWithEveryField) {
  std::vector<TranscriptFields> variants(17, Example());
  variants[1].purpose = Purpose::kRenew;
  variants[2].purpose = Purpose::kReattest;
  variants[3].protocol_version = 2;
  variants[4].trust_domain = "edge.exampl";
  variants[5].server_leaf_hash = Filled<Sha256Digest>(99);
  variants[6].ticket_id = Filled<TicketId>(99);
  variants[7].nonce = Filled<Nonce>(99);
  variants[8].device_id = "abce";
  variants[9].ek_spki_hash = Filled<Sha256Digest>(99);
  variants[10].ak_name = Bytes(34, 99);
  variants[11].tls_key_name = Bytes(33, 6);
  variants[12].csr_hash = Filled<Sha256Digest>(99);
  variants[13].event_log_hash = Filled<Sha256Digest>(99);
  variants[14].boot_slot = BootSlot::kB;
  variants[15].running_release.reset();
  variants[16].highest_epoch = 11;

  std::set<Transcript> seen;
  for (const TranscriptFields& fields : variants) seen.insert(ComputeTranscript(fields));
  EXPECT_EQ(seen.size(), variants.size());
}

TEST(Transcript, FieldsCannotSlideIntoEachOther) {
  TranscriptFields moved = Example();
  moved.ak_name = Bytes(33, 5);
  moved.tls_key_name = Bytes(34, 6);
  moved.tls_key_name.insert(moved.tls_key_name.begin(), 5);

  EXPECT_NE(ComputeTranscript(moved), ComputeTranscript(Example()));
}

TEST(Transcript, ProofsOfDifferentKindsNeverCoincide) {
  const Transcript t = ComputeTranscript(Example());

  EXPECT_NE(QuoteExtraData(t), KeyQualifyingData(t));
  EXPECT_NE(ActivationProof(Bytes(32, 11), t), ActivationProof(Bytes(32, 12), t));
}

}  // namespace
}  // namespace sallyport::pki
