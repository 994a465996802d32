#include "attestation-server/service/authorisation.h"

#include <google/protobuf/descriptor.h>

#include <set>

#include "attestation-server/api/v1/admin.pb.h"
#include "attestation-server/api/v1/device.pb.h"
#include "attestation-server/api/v1/enrolment.pb.h"

namespace sallyport::server {
namespace {

namespace api = ::sallyport::attestation::v1;

struct Service {
  const google::protobuf::FileDescriptor* file;
  Listener listener;
};

std::vector<Service> Services() {
  return {{api::BeginRequest::descriptor()->file(), Listener::kEnrol},
          {api::Hello::descriptor()->file(), Listener::kDevice},
          {api::StatusRequest::descriptor()->file(), Listener::kAdmin}};
}

// Methods are the generated RPCs as gRPC names them.
std::map<std::string, Listener> Methods() {
  std::map<std::string, Listener> out;
  for (const auto& [file, listener] : Services())
    for (int s = 0; s < file->service_count(); ++s)
      for (int m = 0; m < file->service(s)->method_count(); ++m)
        out['/' + file->service(s)->full_name() + '/' + file->service(s)->method(m)->name()] =
            listener;
  return out;
}

TEST(AuthorisationTable, HasEveryRpcOnceOnItsListenerAndNothingElse) {
  const std::map<std::string, Listener> methods = Methods();
  std::set<std::string_view> seen;
  for (const RpcRule& rule : AuthorisationTable()) {
    const auto method = methods.find(std::string(rule.method));
    ASSERT_NE(method, methods.end()) << rule.method;
    EXPECT_EQ(rule.listener, method->second) << rule.method;
    EXPECT_TRUE(seen.insert(rule.method).second) << rule.method;
  }
  EXPECT_EQ(seen.size(), methods.size());
  EXPECT_GT(methods.size(), 30u);
}

TEST(AuthorisationTable, GivesEachListenerItsKindOfCaller) {
  for (const RpcRule& rule : AuthorisationTable()) {
    const bool operators = rule.caller != Caller::kAnyone && rule.caller != Caller::kDevice;
    EXPECT_EQ(rule.caller == Caller::kAnyone, rule.listener == Listener::kEnrol) << rule.method;
    EXPECT_EQ(rule.caller == Caller::kDevice, rule.listener == Listener::kDevice) << rule.method;
    EXPECT_EQ(operators, rule.listener == Listener::kAdmin) << rule.method;
  }
}

TEST(AuthorisationTable, LetsViewersOnlyRead) {
  for (const RpcRule& rule : AuthorisationTable()) {
    if (rule.listener != Listener::kAdmin) continue;
    const std::string_view name = rule.method.substr(rule.method.rfind('/') + 1);
    const bool reads = name.starts_with("List") || name.starts_with("Show") ||
                       name.starts_with("Explain") || name == "Status" || name == "TailAudit" ||
                       name == "VerifyAudit";
    EXPECT_EQ(rule.caller == Caller::kViewer, reads) << rule.method;
  }
}

TEST(FindRule, RefusesWhatIsNotInTheTable) {
  for (const char* method :
       {"", "/", "/sallyport.attestation.v1.Admin/", "/sallyport.attestation.v1.Admin/Statu",
        "/sallyport.attestation.v1.Admin/status", "/sallyport.attestation.v1.Admin/Status/",
        "sallyport.attestation.v1.Admin/Status", "/sallyport.attestation.v2.Admin/Status",
        "/sallyport.attestation.v1.Device/Status", "/grpc.reflection.v1alpha.ServerReflection/"}) {
    const auto rule = FindRule(method);
    ASSERT_FALSE(rule.has_value()) << method;
    EXPECT_EQ(rule.error().rule, "rpc.not-listed") << method;
  }
  EXPECT_EQ(FindRule("/sallyport.attestation.v1.Admin/Status")->caller, Caller::kViewer);
}

TEST(CheckOperator, AsksForTheRoleOfTheRuleOrAHigherOne) {
  for (const RpcRule& rule : AuthorisationTable()) {
    const int needed = rule.caller == Caller::kViewer     ? 0
                       : rule.caller == Caller::kOperator ? 1
                       : rule.caller == Caller::kAdmin    ? 2
                                                          : 3;
    for (const OperatorRole role :
         {OperatorRole::kViewer, OperatorRole::kOperator, OperatorRole::kAdmin}) {
      const auto checked = CheckOperator(rule, role);
      EXPECT_EQ(checked.has_value(), static_cast<int>(role) >= needed) << rule.method;
      if (!checked) {
        EXPECT_EQ(checked.error().rule, "rpc.role");
      }
    }
  }
}

}  // namespace
}  // namespace sallyport::server
