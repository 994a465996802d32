#include "attestation-server/cli/context.h"

#include <gtest/gtest.h>

namespace sallyport::server {
namespace {

constexpr std::string_view kContexts = R"(sallyport: contexts/v1
current: lab
contexts:
  lab:
    server: 127.0.0.1:15002
    server_id: spiffe://edge.example/server/control
    trust_bundle: bundle.json
    certificate: /keys/operator.pem
    private_key: operator.key
  site: {server: "a:1", server_id: b, trust_bundle: c, certificate: d, private_key: e}
)";

std::string Changed(std::string_view from, std::string_view to) {
  std::string out(kContexts);
  out.replace(out.find(from), from.size(), to);
  return out;
}

std::string Refusal(const std::string& text) {
  const Result<Context> read = ParseContexts(text, "/etc/sallyport/config.yaml");
  return read.has_value() ? "accepted" : read.error().detail;
}

TEST(ParseContexts, GivesTheCurrentOneWithPathsBesideTheFile) {
  const Context context = ParseContexts(kContexts, "/etc/sallyport/config.yaml").value();
  EXPECT_EQ(context.server, "127.0.0.1:15002");
  EXPECT_EQ(context.server_id, "spiffe://edge.example/server/control");
  EXPECT_EQ(context.trust_bundle, "/etc/sallyport/bundle.json");
  EXPECT_EQ(context.certificate, "/keys/operator.pem");
  EXPECT_EQ(context.private_key, "/etc/sallyport/operator.key");
}

TEST(ParseContexts, RefusesWithThePlace) {
  EXPECT_NE(Refusal(Changed("    server_id", "    sever_id")).find("config.yaml:6:"),
            std::string::npos);
  EXPECT_NE(Refusal(Changed("current: lab", "current: prod")).find("no context 'prod'"),
            std::string::npos);
}

TEST(ParseContexts, RefusesWhatIsMissingDoubledUnknownOrHidden) {
  for (const auto& [from, to] : std::initializer_list<std::pair<const char*, const char*>>{
           {"contexts/v1", "contexts/v2"},
           {"sallyport: contexts/v1\n", ""},
           {"current: lab\n", ""},
           {"current: lab", "current: lab\ncurrent: site"},
           {"    private_key: operator.key\n", ""},
           {"    private_key: operator.key", "    private_key: [operator.key]"},
           {"    server: 127", "    server: x:1\n    server: 127"},
           {"  lab:\n", "  lab: &lab\n"},
           {"  site: {", "  site: [{"}})
    EXPECT_NE(Refusal(Changed(from, to)), "accepted") << from << " -> " << to;
}

}  // namespace
}  // namespace sallyport::server
