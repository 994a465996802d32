#include "attestation-server/service/status.h"

namespace sallyport::server {
namespace {

TEST(ToStatus, NeverSaysOk) {
  for (uint8_t reason = 0; reason <= static_cast<uint8_t>(Reason::kInternal); ++reason) {
    const grpc::Status status = ToStatus({static_cast<Reason>(reason), "why"});
    EXPECT_FALSE(status.ok()) << ReasonName(static_cast<Reason>(reason));
    EXPECT_NE(status.error_code(), grpc::StatusCode::UNKNOWN);
  }
}

TEST(ToStatus, NamesTheRule) {
  const grpc::Status status = ToStatus({Reason::kPolicyDenied, "needs more", "rpc.role"});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(), "rpc.role: needs more");
}

TEST(FromStatus, GivesTheReasonsThatClientsActOn) {
  for (const Reason reason :
       {Reason::kUnavailable, Reason::kPolicyDenied, Reason::kNotFound, Reason::kAlreadyExists,
        Reason::kConflict, Reason::kUnauthenticated, Reason::kRateLimited, Reason::kTooLarge,
        Reason::kInvalidArgument, Reason::kInternal})
    EXPECT_EQ(FromStatus(ToStatus({reason, "why"})).reason, reason) << ReasonName(reason);
  EXPECT_EQ(FromStatus({grpc::StatusCode::DEADLINE_EXCEEDED, ""}).reason, Reason::kUnavailable);
  EXPECT_EQ(FromStatus({grpc::StatusCode::UNKNOWN, ""}).reason, Reason::kInternal);
}

}  // namespace
}  // namespace sallyport::server
