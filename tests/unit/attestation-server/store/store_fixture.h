// A store in a temporary directory, and records that fit its constraints.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "attestation-server/store/database.h"
#include "attestation-server/store/devices.h"
#include "tests/fakes/fake_random.h"

namespace sallyport::server {

inline Sha256Digest HashOf(uint8_t fill) {
  std::array<uint8_t, 32> bytes;
  bytes.fill(fill);
  return Sha256Digest::FromArray(bytes);
}

inline DeviceRecord MakeDevice(uint8_t fill) {
  DeviceRecord device;
  device.id.assign(51, 'a');
  device.id.push_back(static_cast<char>('a' + fill % 26));
  device.name = "cam-" + std::to_string(fill);
  device.trust_domain = "edge.example";
  device.placement = {"berlin", "online", {"camera", "outdoor"}};
  device.tpm.ek_spki_hash = HashOf(fill);
  device.tpm.ek_manufacturer = "id:00001014";
  device.tpm.ak_public = Bytes(8, fill);
  device.tpm.ak_name = Bytes(34, fill);
  device.provenance = {ProvenanceKind::kToken, "token-1", "192.0.2.1"};
  device.state = DeviceState::kActive;
  device.posture = Posture::kPassing;
  device.valid_until = UnixTime::FromSeconds(2000);
  device.created_at = UnixTime::FromSeconds(1000);
  device.incarnation = 1;
  return device;
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    directory_ = testing::TempDir() + "/sallyport-store-" + std::to_string(getpid()) + "-" +
                 testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~StoreTest() override {
    database_.reset();
    std::filesystem::remove_all(directory_);
  }
  std::string path() const { return directory_ + "/store.db"; }
  Database& Open() {
    database_.reset();
    auto opened = Database::Open(path(), random_);
    SP_CHECK(opened.has_value());
    database_ = std::move(opened).value();
    return *database_;
  }
  Result<Unit> Write(Writer::Work work) { return database_->writer().Run(std::move(work)); }

  std::string directory_;
  FakeRandom random_;
  std::unique_ptr<Database> database_;
};

}  // namespace sallyport::server
