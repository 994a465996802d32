#include "device-client/status_file.h"

#include <gtest/gtest.h>

namespace sallyport::device {
namespace {

UpdateView Waiting() {
  UpdateView view;
  view.report.state = "VERIFIED";
  view.report.release = ReleaseDigest::FromArray({7});
  view.report.slot = "A";
  view.report.gate = "inhibited";
  view.report.detail = "surgeon:\nuntil 14:00";
  view.report.percent = 100;
  view.inhibitors = {{"surgeon", "until 14:00"}};
  view.install_window = {true, "", ""};
  view.reboot_window = {false, "window", "closed"};
  return view;
}

std::string StatusWith(const FloorStatus& floors, const std::optional<UpdateView>& update = {}) {
  return WriteJson(JsonValue::Object({{"state", "stream"},
                                      {"slot", "b"},
                                      {"release", ""},
                                      {"manifest_version", int64_t{4294967297}},
                                      {"floors", FloorsJson(floors)},
                                      {"update", UpdateJson(update)},
                                      {"download", JsonValue()}}));
}

TEST(DescribeUpdate, ShowsTheFloorsThatAreHeld) {
  ota::ManifestFloors floors;
  floors.rollback_index = 5;
  floors.image_root_version = 2;
  floors.image_targets_version = 17;
  floors.director_version = 4294967296;
  const std::string status = StatusWith({"held", "", floors});

  EXPECT_EQ(
      *DescribeUpdate(status, false),
      "slot:     b\nrelease:  none\nupdate:   none taken\nmanifest: 4294967297\nfloors:   held\n"
      "  rollback index >= 5\n  image root >= 2\n  image targets >= 17\n"
      "  director >= 4294967296");
  EXPECT_EQ(
      *DescribeUpdate(status, true),
      R"({"download":null,"floors":{"detail":"","director_version":4294967296,"image_root_version":2,)"
      R"("image_targets_version":17,"rollback_index":5,"state":"held"},)"
      R"("manifest_version":4294967297,"release":"","slot":"b"})");
}

TEST(DescribeAdoption, SaysWhereTheFloorsAreFrom) {
  EXPECT_EQ(DescribeAdoption({{5, 2, 17, 1, 0}, true}, true),
            R"({"director_incarnation":1,"director_step":0,"from":"server","image_root":2,)"
            R"("image_targets":17,"rollback_index":5})");
  EXPECT_NE(DescribeAdoption({{5, 2, 17, 1, 0}, true}, false).find("image_targets >= 17"),
            std::string::npos);
  EXPECT_NE(DescribeAdoption({{}, false}, true).find(R"("from":"zero")"), std::string::npos);
  EXPECT_EQ(ErrorJson(Error{Reason::kConflict, "whole", "floor.held"}),
            R"({"error":{"detail":"whole","reason":"floor.held"}})");
}

TEST(DescribeUpdate, ShowsWhyThereAreNoFloorsAndNoNumbers) {
  const std::string status = StatusWith({"floor.missing", "NV index 0180a500 is not defined", {}});

  EXPECT_NE(DescribeUpdate(status, false)->find("floor.missing (NV index"), std::string::npos);
  EXPECT_EQ(DescribeUpdate(status, true)->find("rollback_index"), std::string::npos);
}

TEST(DescribeUpdate, ShowsTheUpdateItsGateAndWhatItWaitsFor) {
  const std::string status = StatusWith({"floor.missing", "", {}}, Waiting());

  EXPECT_NE(DescribeUpdate(status, false)
                ->find("update:   VERIFIED 100 %, gate inhibited: surgeon: until 14:00\n"
                       "  inhibited by surgeon: until 14:00\n  install: open\n  reboot: closed\n"),
            std::string::npos)
      << *DescribeUpdate(status, false);
  const JsonValue json = *ParseJson(*DescribeUpdate(status, true));
  EXPECT_EQ(*json.Find("state")->if_string(), "VERIFIED");
  EXPECT_EQ(*json.Find("percent")->if_integer(), 100);
  EXPECT_EQ(*json.Find("gate")->if_string(), "inhibited");
  EXPECT_EQ(*json.Find("target")->Find("slot")->if_string(), "A");
  EXPECT_EQ(*json.Find("slot")->if_string(), "b") << "the running one";
  EXPECT_EQ(json.Find("inhibitors")->if_array()->size(), 1u);
  EXPECT_FALSE(*json.Find("windows")->Find("reboot")->Find("open")->if_bool());
}

TEST(DescribeUpdate, ShowsTheDeadlineAndHowTrustedTimeStandsToIt) {
  UpdateView view = Waiting();
  EXPECT_EQ(UpdateJson(view).Find("deadline")->kind(), JsonValue::Kind::kNull);
  view.report.install_by = *ParseRfc3339("2026-12-01T12:00:00Z");
  view.deadline = Deadline::kUnknown;
  const std::string status = StatusWith({"floor.missing", "", {}}, view);
  EXPECT_NE(DescribeUpdate(status, false)->find("\n  deadline: 2026-12-01T12:00:00Z (unknown)\n"),
            std::string::npos)
      << *DescribeUpdate(status, false);
  EXPECT_NE(DescribeUpdate(status, true)
                ->find(R"("deadline":{"install_by":"2026-12-01T12:00:00Z","state":"unknown"})"),
            std::string::npos);
}

TEST(DescribeUpdate, ShowsADegradedDeviceWhateverItIsToldToInstall) {
  UpdateView view = Waiting();
  view.report.state = "PLANNED";
  view.report.gate = "degraded";
  view.report.degraded = true;
  const std::string status = StatusWith({"floor.missing", "", {}}, view);
  EXPECT_NE(DescribeUpdate(status, false)->find("\n  degraded: installs nothing on its own\n"),
            std::string::npos);
  EXPECT_TRUE(*ParseJson(*DescribeUpdate(status, true))->Find("degraded")->if_bool());
  EXPECT_FALSE(*UpdateJson(Waiting()).Find("degraded")->if_bool());
}

TEST(DescribeUpdate, ShowsWhereTheImageCameFrom) {
  UpdateView view = Waiting();
  EXPECT_EQ(UpdateJson(view).Find("origins")->kind(), JsonValue::Kind::kNull);
  view.report.origins.Count(ota::Origin::kDelta, 4'194'304);
  view.report.origins.Count(ota::Origin::kDelta, 4'194'304);
  view.report.origins.Count(ota::Origin::kFull, 2'000'000);
  const std::string status = StatusWith({"floor.missing", "", {}}, view);

  EXPECT_NE(
      DescribeUpdate(status, false)->find("\n  written from: delta 2 (81 %), full 1 (19 %)\n"),
      std::string::npos)
      << *DescribeUpdate(status, false);
  const JsonValue origins = *ParseJson(*DescribeUpdate(status, true))->Find("origins");
  EXPECT_EQ(*origins.Find("delta")->Find("segments")->if_integer(), 2);
  EXPECT_EQ(*origins.Find("full")->Find("bytes")->if_integer(), 2'000'000);
  EXPECT_EQ(*origins.Find("chunks")->Find("segments")->if_integer(), 0);
}

TEST(DescribeUpdate, RefusesWhatTheAgentDidNotWrite) {
  EXPECT_FALSE(DescribeUpdate("", true));
  EXPECT_FALSE(DescribeUpdate("{}", true));
  EXPECT_FALSE(DescribeUpdate(R"({"slot":"a","release":"","manifest_version":1})", false));
}

}  // namespace
}  // namespace sallyport::device
