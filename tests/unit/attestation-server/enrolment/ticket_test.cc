#include "attestation-server/enrolment/ticket.h"

#include "tests/fakes/fake_random.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

class TicketTest : public testing::Test {
 protected:
  static Ticket Make() {
    Ticket ticket;
    ticket.purpose = pki::Purpose::kReattest;
    ticket.device_id = "device";
    ticket.ak_public = Bytes(90, 7);
    ticket.secret = Bytes(32, 8);
    ticket.made_at = kNow;
    ticket.incarnation = 3;
    ticket.profiles = {"default", "lab"};
    ticket.ek_manufacturer = "id:1";
    return ticket;
  }
  std::string_view OpenRule(ByteView sealed, UnixTime now = kNow,
                            pki::Purpose purpose = pki::Purpose::kReattest) {
    const auto opened = sealer_.Open(sealed, {purpose}, now);
    return opened.has_value() ? "" : opened.error().rule;
  }

  FakeRandom random_;
  TicketSealer sealer_{random_, 3};
};

TEST_F(TicketTest, OpensToWhatWasSealed) {
  const Ticket ticket =
      sealer_.Open(sealer_.Seal(Make(), kNow), {pki::Purpose::kReattest}, kNow).value();
  EXPECT_EQ(ticket.device_id, "device");
  EXPECT_EQ(ticket.ak_public, Bytes(90, 7));
  EXPECT_EQ(ticket.secret, Bytes(32, 8));
  EXPECT_EQ(ticket.profiles, (std::vector<std::string>{"default", "lab"}));
  EXPECT_EQ(ticket.ek_manufacturer, "id:1");
}

TEST_F(TicketTest, LivesSixtySecondsAndNotOneMillisecondMore) {
  const Bytes sealed = sealer_.Seal(Make(), kNow);
  EXPECT_EQ(OpenRule(sealed, kNow + Seconds(60)), "");
  EXPECT_EQ(OpenRule(sealed, kNow + Seconds(60) + Milliseconds(1)), "ticket.expired");
}

TEST_F(TicketTest, RefusesATicketOfTheFuture) {
  EXPECT_EQ(OpenRule(sealer_.Seal(Make(), kNow), kNow - Milliseconds(1)), "ticket.expired");
}

TEST_F(TicketTest, RefusesAnotherPurpose) {
  EXPECT_EQ(OpenRule(sealer_.Seal(Make(), kNow), kNow, pki::Purpose::kEnrol), "ticket.purpose");
}

TEST_F(TicketTest, RefusesATicketOfAnotherServer) {
  FakeRandom other_random(77);
  TicketSealer other(other_random, 3);
  EXPECT_EQ(OpenRule(other.Seal(Make(), kNow)), "ticket.foreign");
}

TEST_F(TicketTest, RefusesATicketOfAnotherIncarnation) {
  Ticket ticket = Make();
  ticket.incarnation = 2;
  EXPECT_EQ(OpenRule(sealer_.Seal(ticket, kNow)), "ticket.foreign");
}

TEST_F(TicketTest, RefusesEachFlippedBitAndEachTruncation) {
  const Bytes sealed = sealer_.Seal(Make(), kNow);
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes forged = sealed;
    forged[bit / 8] = static_cast<uint8_t>(forged[bit / 8] ^ (1u << (bit % 8)));
    ASSERT_EQ(OpenRule(forged), "ticket.foreign") << bit;
  }
  for (size_t size = 0; size < sealed.size(); ++size)
    ASSERT_EQ(OpenRule(ByteView(sealed).first(size)), "ticket.foreign") << size;
}

TEST_F(TicketTest, RefusesOversizeBeforeDecrypting) {
  EXPECT_EQ(OpenRule(Bytes(kTicketBytesMax + 1)), "ticket.size");
}

TEST_F(TicketTest, TicketsOutliveOneChangeOfKeyAndNoSecond) {
  Ticket late = Make();
  late.made_at = kNow + kTicketKeyLifetime - Seconds(1);
  static_cast<void>(sealer_.Seal(Make(), kNow));
  const Bytes sealed = sealer_.Seal(late, late.made_at);
  static_cast<void>(sealer_.Seal(Make(), kNow + kTicketKeyLifetime));
  EXPECT_EQ(OpenRule(sealed, kNow + kTicketKeyLifetime), "");
  static_cast<void>(sealer_.Seal(Make(), kNow + kTicketKeyLifetime + kTicketKeyLifetime));
  EXPECT_EQ(OpenRule(sealed, kNow + kTicketKeyLifetime), "ticket.foreign");
}

}  // namespace
}  // namespace sallyport::server
