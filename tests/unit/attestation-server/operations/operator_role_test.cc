#include "attestation-server/operations/operator_role.h"

namespace sallyport::server {
namespace {

TEST(OperatorRole, IsReadAsItIsWritten) {
  for (const OperatorRole role :
       {OperatorRole::kViewer, OperatorRole::kOperator, OperatorRole::kAdmin})
    EXPECT_EQ(*ParseOperatorRole(OperatorRoleName(role)), role);
}

TEST(OperatorRole, RefusesOtherWords) {
  for (const char* word : {"", "Admin", "admin ", "root", "viewe"})
    EXPECT_EQ(ParseOperatorRole(word).error().reason, Reason::kMalformed) << word;
}

}  // namespace
}  // namespace sallyport::server
