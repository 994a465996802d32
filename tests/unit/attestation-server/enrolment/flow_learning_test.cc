// Learning proposes and never admits.
#include "attestation-server/reference/reference_file.h"
#include "attestation-server/store/learning.h"
#include "attestation-server/store/limits.h"
#include "tests/unit/attestation-server/enrolment/flow_fixture.h"

namespace sallyport::server {
namespace {

class LearningTest : public FlowTest {
 protected:
  std::string EdgeToken() {
    TokenRecord record;
    record.placement = {"berlin", "edge", {}};
    return MakeToken(record);
  }
  void Open(const std::string& device_class) {
    Must([&](Connection& c) {
      return OpenWindow(c, {device_class, "alice", now_, now_ + Hours(1)});
    });
  }
  std::vector<ReferenceRow> Learned() {
    auto snapshot = database_->Read();
    std::vector<ReferenceRow> out;
    const auto rows = References(snapshot.value().connection()).ListAll(100).value();
    for (const ReferenceRow& row : rows)
      if (row.state == ReferenceState::kLearning) out.push_back(row);
    return out;
  }
  std::string Boot(FakeTpmDevice& device, std::string_view image, ProofOptions options = {}) {
    device.Boot(image);
    now_ = now_ + Seconds(30);
    return RuleOf(Reattest(device, std::move(options)));
  }

  FakeTpmDevice device_{vendor_};
};

TEST_F(LearningTest, CapturesWhatLacksOnlyAReferenceAndRefusesItAsBefore) {
  MustEnrol(device_);
  Open("online");
  EXPECT_EQ(Boot(device_, "uki 2"), "pcr.4");
  ASSERT_EQ(Learned().size(), 1u);
  EXPECT_EQ(Stored(device_)->state, DeviceState::kQuarantined);
  EXPECT_EQ(Boot(device_, "uki 2"), "pcr.4") << "a captured set judges nobody";
  EXPECT_EQ(Learned().size(), 1u) << "the same boot is one set";
  EXPECT_EQ(Count("SELECT COUNT(*) FROM audit WHERE event = 'reference.learned'"), 1);
  const ReferenceFile file = ParseReferenceFile(Learned()[0].json).value();
  EXPECT_EQ(file.device_class, "online");
  EXPECT_EQ(file.expectation.pcrs.size(), 3u) << "every quoted PCR";
  EXPECT_EQ(Learned()[0].json.find(IdOf(device_)), std::string::npos);
}

TEST_F(LearningTest, RaisesNoEpochSoThatNobodyIsJudgedAnew) {
  MustEnrol(device_);
  Open("online");
  const int64_t before = Count("SELECT value FROM counters WHERE name = 'reference-epoch'");
  Boot(device_, "uki 2");
  EXPECT_EQ(Count("SELECT value FROM counters WHERE name = 'reference-epoch'"), before);
}

TEST_F(LearningTest, WithoutAWindowOrAfterItNothingIsCaptured) {
  MustEnrol(device_);
  Boot(device_, "uki 2");
  EXPECT_TRUE(Learned().empty());
  Open("edge");
  Boot(device_, "uki 2");
  EXPECT_TRUE(Learned().empty()) << "another class is learned";
  Open("online");
  now_ = now_ + Hours(1);
  Boot(device_, "uki 2");
  EXPECT_TRUE(Learned().empty()) << "the window is over";
}

TEST_F(LearningTest, ADeviceThatIsNotInYetTeachesAndStaysOut) {
  token_ = EdgeToken();
  Open("edge");
  EXPECT_EQ(RuleOf(Enrol(device_)), "reference.available");
  ASSERT_EQ(Learned().size(), 1u);
  EXPECT_EQ(Learned()[0].device_class, "edge");
  EXPECT_FALSE(Stored(device_).has_value());
  EXPECT_EQ(Count("SELECT SUM(uses) FROM tokens"), 0);
  now_ = now_ + Seconds(1);
  EXPECT_EQ(RuleOf(Enrol(device_)), "reference.available");
}

TEST_F(LearningTest, BrokenEvidenceTeachesNothing) {
  MustEnrol(device_);
  Open("online");
  device_.Boot("uki 2");
  Bytes cut = device_.event_log();
  cut.pop_back();
  now_ = now_ + Seconds(1);
  EXPECT_EQ(RuleOf(Reattest(device_, {.other_log = cut})), "log.structure");
  now_ = now_ + Seconds(1);
  const Bytes another = BootLog("uki 1").bytes();
  EXPECT_EQ(RuleOf(Reattest(device_, {.other_log = another})), "quote.digest");
  device_.StopClock();
  Reattest(device_);
  EXPECT_EQ(Boot(device_, "uki 2", {.tls_attributes = kTlsAttributes & ~0x2u}), "pcr.4")
      << "its key may leave the TPM";
  EXPECT_TRUE(Learned().empty());
}

TEST_F(LearningTest, AClassOfTooManyBootsIsNoClass) {
  MustEnrol(device_);
  Open("online");
  for (int64_t i = 0; i < kLearnedSetsMax + 3; ++i) Boot(device_, "image " + std::to_string(i));
  EXPECT_EQ(static_cast<int64_t>(Learned().size()), kLearnedSetsMax);
}

}  // namespace
}  // namespace sallyport::server
