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

}  // namespace
}  // namespace sallyport::server
