// Freezes and dropped requests: an online device that stays behind, a device that says nothing.
#include "attestation-server/operations/fleet_alarms.h"

#include "attestation-server/store/floors.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"

namespace sallyport::server {
namespace {

class FleetAlarmsTest : public OperationsTest {
 protected:
  DeviceRecord Make(uint8_t number, DeviceState state = DeviceState::kActive) {
    DeviceRecord device = MakeDevice(number);
    device.state = state;
    device.last_seen = now_;
    device.manifest_version = 7;
    Keep(device);
    return device;
  }
  // At is one check; what it said is in said_.
  void At(UnixTime now) {
    said_.clear();
    alarms_.Check(now);
  }
  std::string StatusOf(std::string_view alarm) { return WriteJson(*alarms_.Json().Find(alarm)); }

  std::set<std::string> online_;
  std::map<std::string, ManifestNews> news_;
  std::vector<std::string> said_;
  std::map<std::string, size_t> gauges_;
  FleetAlarms alarms_{
      {*database_, [this](const std::string& id) { return online_.contains(id); },
       [this](const std::string& id) {
         const auto found = news_.find(id);
         return found == news_.end() ? std::nullopt : std::optional(found->second);
       }},
      {Minutes(15), {{"online", Hours(2)}, {"edge", Days(3)}}},
      {[this](LogLevel, std::string_view event, const std::string& device,
              const std::string& text) {
         said_.push_back(std::string(event) + " " + device + " " + text);
       },
       [this](std::string_view alarm, size_t devices) { gauges_[std::string(alarm)] = devices; }}};
};

TEST_F(FleetAlarmsTest, AnOnlineDeviceBehindItsManifestIsAnAlarmAfterTheBound) {
  const DeviceRecord device = Make(1);
  online_ = {device.id};
  news_[device.id] = {now_, 8};
  At(now_ + Minutes(15) - Milliseconds(1));
  EXPECT_TRUE(said_.empty());
  At(now_ + Minutes(15));
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_TRUE(said_[0].starts_with("device_lagging cam-1 ")) << said_[0];
  EXPECT_NE(said_[0].find("sallyport-agent update status"), std::string::npos);
  EXPECT_EQ(StatusOf("lagging"), R"({"devices":1,"first":["cam-1"]})");
  EXPECT_EQ(alarms_.Of(device.id), "lagging");
  EXPECT_EQ(gauges_["lagging"], 1u);

  news_[device.id].version = 7;
  At(now_ + Minutes(16));
  EXPECT_TRUE(said_.empty());
  EXPECT_EQ(alarms_.Of(device.id), "");
  EXPECT_EQ(gauges_["lagging"], 0u);
}

TEST_F(FleetAlarmsTest, NewsThatADeviceDoesNotEvenFetchIsLagToo) {
  const DeviceRecord device = Make(1);
  online_ = {device.id};
  news_[device.id] = {now_, 0};
  At(now_ + Minutes(15));
  EXPECT_EQ(alarms_.Of(device.id), "lagging");
}

TEST_F(FleetAlarmsTest, ADeviceThatHoldsTheNewestOrIsNotKnownToLagIsQuiet) {
  const DeviceRecord current = Make(1);
  const DeviceRecord unknown = Make(2);
  online_ = {current.id, unknown.id};
  news_[current.id] = {now_, 7};
  At(now_ + Days(2));
  EXPECT_TRUE(said_.empty());
}

TEST_F(FleetAlarmsTest, SilenceIsAnAlarmAfterTheBoundOfTheClass) {
  const DeviceRecord online = Make(1);
  DeviceRecord edge = MakeDevice(2);
  edge.placement.device_class = "edge";
  edge.last_seen = now_;
  Keep(edge);
  At(now_ + Hours(2) - Milliseconds(1));
  EXPECT_TRUE(said_.empty());
  At(now_ + Hours(2));
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_TRUE(said_[0].starts_with("device_silent cam-1 ")) << said_[0];
  EXPECT_NE(said_[0].find("sallyport device decommission cam-1"), std::string::npos);
  At(now_ + Days(3));
  EXPECT_EQ(StatusOf("silent"), R"({"devices":2,"first":["cam-1","cam-2"]})");
  EXPECT_EQ(gauges_["silent"], 2u);
}

TEST_F(FleetAlarmsTest, ADeviceOnAStreamIsNotSilentWheneverItSpokeLast) {
  const DeviceRecord device = Make(1);
  online_ = {device.id};
  At(now_ + Days(30));
  EXPECT_TRUE(said_.empty());
}

TEST_F(FleetAlarmsTest, DevicesThatAreOutAnywayAndClassesWithoutABoundAreQuiet) {
  Make(1, DeviceState::kRetired);
  Make(2, DeviceState::kQuarantined);
  Make(3, DeviceState::kPending);
  DeviceRecord other = MakeDevice(4);
  other.placement.device_class = "unbounded";
  Keep(other);
  At(now_ + Days(300));
  EXPECT_TRUE(said_.empty());
}

TEST_F(FleetAlarmsTest, AFindingOfFloorsIsAnAlarm) {
  const DeviceRecord device = Make(1);
  online_ = {device.id};
  ASSERT_TRUE(Write([&](Transaction& t) {
    return PutFloors(t.connection(), {.device_id = device.id, .finding = "floors.lowered"});
  }));
  At(now_);
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_TRUE(said_[0].starts_with("device_floors cam-1 floors.lowered")) << said_[0];
  EXPECT_EQ(alarms_.Of(device.id), "floors");
}

TEST_F(FleetAlarmsTest, AreSaidOnceADay) {
  Make(1);
  At(now_ + Hours(2));
  EXPECT_EQ(said_.size(), 1u);
  At(now_ + Hours(3));
  EXPECT_TRUE(said_.empty());
  At(now_ + Hours(26));
  EXPECT_EQ(said_.size(), 1u);
}

TEST_F(FleetAlarmsTest, ASiteThatIsCutOffIsCountedAndNotSpelledOut) {
  for (uint8_t i = 1; i <= 25; ++i) Make(i);
  At(now_ + Hours(2));
  ASSERT_EQ(said_.size(), 21u);
  EXPECT_NE(said_.back().find("5 more"), std::string::npos);
  EXPECT_EQ(gauges_["silent"], 25u);
  At(now_ + Hours(2) + Minutes(10));
  EXPECT_EQ(said_.size(), 5u) << "the next check says the rest";
}

}  // namespace
}  // namespace sallyport::server
