#include "attestation-server/operations/ek_bundles.h"

#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/soft_ek.h"
#include "tests/fakes/vector_file.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

class NoEvents final : public FlowEvents {
  void OnAdmitted(const DeviceRecord&) override {}
  void OnRevoked(const std::string&, uint64_t) override {}
};

class EkBundlesTest : public StoreTest {
 protected:
  EkBundlesTest() { Open(); }

  EkBundleOperations Operations(std::map<std::string, std::string> directories = {
                                    {"default", "/roots"}}) {
    return {{*database_, random_, events_},
            files_,
            std::move(directories),
            [this](const std::string& profile, const pki::EkRoots& roots) {
              replaced_.emplace_back(profile, roots.anchor_count() + roots.intermediate_count());
            }};
  }
  static EkBundleOrder Order(const std::vector<Bytes>& certificates) {
    EkBundleOrder out;
    for (const Bytes& bytes : certificates) out.files.push_back({"", "file.pem", bytes});
    return out;
  }
  static const JsonValue& At(const JsonValue& value, std::string_view key) {
    return *value.Find(key);
  }
  static std::string RefusedRules(const JsonValue& report) {
    std::string out;
    for (const JsonValue& refusal : *At(report, "refused").if_array())
      out += *At(refusal, "rule").if_string();
    return out;
  }

  const Operator caller_{"spiffe://edge.example/operator/alice", OperatorRole::kAdmin,
                         pki::PrivateKey::Generate(pki::KeyType::kP256)->public_key()};
  MemoryFileSystem files_;
  NoEvents events_;
  std::vector<std::pair<std::string, size_t>> replaced_;
  const FakeTpmVendor vendor_;
};

TEST_F(EkBundlesTest, WritesScreensAgainAndPutsInForce) {
  EkBundleOperations operations = Operations();
  const JsonValue report =
      *operations.Import(caller_, Order({vendor_.root_der(), vendor_.intermediate_der()}), kNow);
  EXPECT_EQ(*At(report, "imported").if_bool(), true);
  EXPECT_EQ(*At(report, "version").if_integer(), 1);
  ASSERT_EQ(At(report, "vendors").if_array()->size(), 1u);
  EXPECT_EQ(At((*At(report, "vendors").if_array())[0], "added").if_array()->size(), 2u);
  EXPECT_EQ(replaced_, (std::vector<std::pair<std::string, size_t>>{{"default", 2}}));
  EXPECT_EQ(ReadEkDirectory(files_, "/roots")->version, 1u);
}

TEST_F(EkBundlesTest, TellsWhatWasAddedKeptAndRemovedPerVendor) {
  EkBundleOperations operations = Operations();
  ASSERT_TRUE(operations.Import(caller_,
                                Order({vendor_.root_der(), VectorFile("ek/NUVO_2111.pem")}), kNow));
  const JsonValue report = *operations.Import(
      caller_, Order({vendor_.root_der(), VectorFile("ek/GS_TPM_RT.pem")}), kNow);
  std::string seen;
  for (const JsonValue& vendor : *At(report, "vendors").if_array())
    seen += *At(vendor, "vendor").if_string() + "+" +
            std::to_string(At(vendor, "added").if_array()->size()) + "=" +
            std::to_string(*At(vendor, "kept").if_integer()) + "-" +
            std::to_string(*At(vendor, "removed").if_integer()) + " ";
  EXPECT_EQ(seen, "NTC+0=0-1 STM+1=0-0 other+0=1-0 ");
  EXPECT_EQ(*At(report, "version").if_integer(), 2);
}

TEST_F(EkBundlesTest, ChangesNothingWhenAnythingIsRefusedUnlessToldToSkip) {
  EkBundleOperations operations = Operations();
  EkBundleOrder order = Order({vendor_.root_der(), FakeCaCertificate("weak", {.rsa_bits = 1024})});
  const JsonValue refused = *operations.Import(caller_, order, kNow);
  EXPECT_EQ(*At(refused, "imported").if_bool(), false);
  EXPECT_EQ(RefusedRules(refused), "bundle.weak-key");
  EXPECT_TRUE(replaced_.empty());
  EXPECT_TRUE(ReadEkDirectory(files_, "/roots")->certificates.empty());

  order.skip_refused = true;
  const JsonValue skipped = *operations.Import(caller_, order, kNow);
  EXPECT_EQ(*At(skipped, "imported").if_bool(), true);
  EXPECT_EQ(RefusedRules(skipped), "bundle.weak-key");
  EXPECT_EQ(replaced_.back().second, 1u);
}

TEST_F(EkBundlesTest, ImportsNoBundleWithoutAnAnchor) {
  EkBundleOperations operations = Operations();
  EkBundleOrder order = Order({ToBytes("none")});
  order.skip_refused = true;
  EXPECT_EQ(*At(*operations.Import(caller_, order, kNow), "imported").if_bool(), false);
  EXPECT_EQ(*At(*operations.Import(caller_, {}, kNow), "imported").if_bool(), false);
}

TEST_F(EkBundlesTest, AsksForTheProfileWhereThereAreSeveral) {
  EkBundleOperations operations = Operations({{"a", "/a"}, {"b", "/b"}});
  EkBundleOrder order = Order({vendor_.root_der()});
  EXPECT_EQ(operations.Import(caller_, order, kNow).error().rule, "profile.ambiguous");
  order.profile = "c";
  EXPECT_EQ(operations.Import(caller_, order, kNow).error().rule, "profile.unknown");
  order.profile = "b";
  ASSERT_TRUE(operations.Import(caller_, order, kNow).has_value());
  EXPECT_EQ(replaced_.back().first, "b");
}

TEST_F(EkBundlesTest, IsOnRecord) {
  ASSERT_TRUE(Operations().Import(caller_, Order({vendor_.root_der()}), kNow).has_value());
  Result<Snapshot> snapshot = database_->Read();
  const auto row = snapshot->connection().QueryOne(
      "SELECT COUNT(*) FROM audit WHERE event = 'ek.bundle-imported'", "i");
  ASSERT_TRUE(row.has_value()) << row.error().ToString();
  EXPECT_EQ((*row)->Integer(0), 1);
}

TEST_F(EkBundlesTest, KeepsTheOldRootsWhenTheDiskIsFull) {
  EkBundleOperations operations = Operations();
  ASSERT_TRUE(operations.Import(caller_, Order({vendor_.root_der()}), kNow).has_value());
  files_.LimitBytes(0);
  EXPECT_EQ(
      operations.Import(caller_, Order({VectorFile("ek/NUVO_2111.pem")}), kNow).error().reason,
      Reason::kNoSpace);
  EXPECT_EQ(replaced_.size(), 1u);
  EXPECT_EQ(ReadEkDirectory(files_, "/roots")->version, 1u);
}

}  // namespace
}  // namespace sallyport::server
