// Operators with their keys over a real store in a temporary directory.
#pragma once

#include "attestation-server/operations/operator.h"
#include "pki/crypto/hash.h"
#include "tests/unit/attestation-server/store/recorded_events.h"
#include "tests/unit/attestation-server/store/store_fixture.h"

namespace sallyport::server {

class OperationsTest : public StoreTest {
 protected:
  struct Person {
    explicit Person(const std::string& name)
        : key(pki::PrivateKey::Generate(pki::KeyType::kP256).value()),
          who{"spiffe://edge.example/operator/" + name, OperatorRole::kAdmin, key.public_key()} {}
    pki::PrivateKey key;
    Operator who;
  };

  OperationsTest() { Open(); }

  OperationParts Parts() { return {*database_, random_, events_}; }
  // Approved is what `person` signs for `action` on `digest`.
  std::vector<SignedApproval> Approved(const Person& person, std::string_view action,
                                       const Sha256Digest& digest, Duration life = Hours(1)) {
    return {MakeApproval(person.key, person.who.id, action, digest, now_ + life).value()};
  }
  std::vector<SignedApproval> Approved(const Person& person, std::string_view action,
                                       std::string_view name, Duration life = Hours(1)) {
    return Approved(person, action, pki::Sha256(AsBytes(name)), life);
  }
  void Keep(const DeviceRecord& device) {
    ASSERT_TRUE(
        Write([&](Transaction& t) { return Devices(t.connection()).Insert(device); }).has_value());
  }
  DeviceRecord Stored(const std::string& id) {
    Snapshot snapshot = database_->Read().value();
    return Devices(snapshot.connection()).Find(id).value().value();
  }
  int64_t Count(std::string_view sql) {
    Snapshot snapshot = database_->Read().value();
    return snapshot.connection().QueryOne(sql, "i").value()->Integer(0);
  }
  template <typename T>
  static std::string RuleOf(const Result<T>& result) {
    return result.has_value() ? "accepted" : std::string(result.error().name());
  }

  UnixTime now_ = UnixTime::FromSeconds(1500);
  RecordedEvents events_;
  Person alice_{"alice"}, bob_{"bob"};
};

}  // namespace sallyport::server
