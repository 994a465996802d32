#include "attestation-server/operations/update_alarms.h"

#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::server {
namespace {

class UpdateAlarmsTest : public ota::RepositoryFixture {
 protected:
  // Online roles stay fresh, as a server keeps them; what remains are the roles of people.
  void At(UnixTime now) {
    said_.clear();
    alarms_.Check(now);
    std::erase_if(said_, [](const std::string& line) {
      return line.starts_with("snapshot") || line.starts_with("timestamp");
    });
  }
  std::vector<std::string> said_;
  std::map<std::string, Duration, std::less<>> left_;
  UpdateAlarms alarms_{files_,
                       "/repo",
                       {.notice = Days(20), .warning = Days(10), .critical = Days(2)},
                       {[this](LogLevel, std::string_view, const std::string& role,
                               const std::string& text) { said_.push_back(role + " " + text); },
                        [this](std::string_view group, Duration left) {
                          left_.insert_or_assign(std::string(group), left);
                        }}};
};

TEST_F(UpdateAlarmsTest, SpeakWhenARoleOfPeopleNearsItsEndAndSayWhatToDo) {
  const UnixTime end = kNow + Days(365);
  At(end - Days(21));
  EXPECT_TRUE(said_.empty());
  At(end - Days(20));
  ASSERT_EQ(said_.size(), 3U);  // root, targets, the director's root
  EXPECT_NE(said_[0].find("sallyport release root"), std::string::npos);
  EXPECT_NE(said_[1].find("sallyport release renew --role targets"), std::string::npos);
  EXPECT_NE(said_[2].find("--director"), std::string::npos);
}

TEST_F(UpdateAlarmsTest, RepeatThemselvesDailyAndAtOnceWhenItBecomesMoreUrgent) {
  const UnixTime end = kNow + Days(365);
  At(end - Days(15));
  EXPECT_EQ(said_.size(), 3U);
  At(end - Days(15) + Minutes(10));
  EXPECT_TRUE(said_.empty());
  At(end - Days(14));
  EXPECT_EQ(said_.size(), 3U);
  At(end - Days(10));
  EXPECT_EQ(said_.size(), 3U);
  At(end - Days(10) + Minutes(10));
  EXPECT_TRUE(said_.empty());
  At(end - Days(2));
  EXPECT_EQ(said_.size(), 3U);
  At(end);
  EXPECT_EQ(said_.size(), 3U);
}

TEST_F(UpdateAlarmsTest, SpeakAtOnceWhenOnlineRolesAreNotRenewed) {
  alarms_.Check(kNow + Hours(20));
  EXPECT_TRUE(said_.empty());
  alarms_.Check(kNow + Hours(22));
  ASSERT_EQ(said_.size(), 1U);
  EXPECT_TRUE(said_[0].starts_with("timestamp"));
}

TEST_F(UpdateAlarmsTest, MeasureTheRemainingLifeOfEveryRole) {
  At(kNow);
  EXPECT_EQ(left_.at("root").ms, Days(365).ms);
  EXPECT_EQ(left_.at("timestamp").ms, Days(1).ms);
  At(kNow + Days(366));
  EXPECT_EQ(left_.at("targets").ms, -Days(1).ms);
}

TEST_F(UpdateAlarmsTest, ARepositoryThatCannotBeReadIsAnAlarmToo) {
  Write("/repo/metadata/timestamp.json", AsBytes("{"));
  At(kNow);
  ASSERT_EQ(said_.size(), 1U);
  EXPECT_NE(alarms_.Json(kNow).Find("error"), nullptr);
}

TEST_F(UpdateAlarmsTest, AreInTheStatus) {
  const JsonValue json = alarms_.Json(kNow + Days(365) - Days(2));
  const JsonValue& root = json.if_array()->front();
  EXPECT_EQ(*root.Find("role")->if_string(), "root");
  EXPECT_EQ(*root.Find("level")->if_string(), "critical");
  EXPECT_FALSE(root.Find("remedy")->if_string()->empty());
}

}  // namespace
}  // namespace sallyport::server
