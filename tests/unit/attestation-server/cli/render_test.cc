#include "attestation-server/cli/render.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

TEST(RenderJson, TakesOutWhatTerminalsObey) {
  EXPECT_EQ(RenderJson(R"({"detail":"a\u001b[2Jb\u009bc\r"})"), "detail  a?[2Jb?c?\n");
  EXPECT_EQ(RenderJson(R"([{"name":"x\u202ey","log":"one\ntwo"}])"),
            "name  log    \nx?y   one two\n");
}

TEST(RenderJson, ATextOfSeveralLinesIsABlock) {
  EXPECT_EQ(RenderJson(R"({"log":"one\ntwo\u0007\n","gate":"probes"})"),
            "gate  probes\nlog\n  one\n  two?\n");
}

TEST(RenderJson, AnObjectInARowIsOneCell) {
  EXPECT_EQ(RenderJson(R"({"origins":{"copy":{"segments":3,"bytes":12},"full":{}},"n":{"a":"x"}})"),
            "origins  copy 3/12, full -\nn        a x\n");
}

}  // namespace
}  // namespace sallyport::server
