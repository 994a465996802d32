// WorkflowFixture is a client in memory with a repository that it trusts.
#pragma once

#include <gtest/gtest.h>

#include "ota/metadata/client.h"
#include "ota/metadata/limits.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {

inline constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

class WorkflowFixture : public testing::Test {
 protected:
  explicit WorkflowFixture(MetadataRules rules = {}) : client_(files_, "/tuf", std::move(rules)) {
    EXPECT_TRUE(client_.Initialise(repository_.CurrentRoot()));
  }
  std::string Refresh(UnixTime now = kNow) {
    const auto trusted = client_.Refresh(repository_, now);
    return trusted ? "ok" : std::string(trusted.error().name());
  }
  // Versions held on disk as root.timestamp.snapshot.targets; 0 when absent.
  std::string Held() const {
    std::string out;
    for (const char* role : {"root", "timestamp", "snapshot", "targets"}) {
      const auto bytes = client_.Stored(role, 1 << 20);
      const auto tree = bytes ? ParseJson(AsText(*bytes)) : Result<JsonValue>(JsonValue());
      const JsonValue* body = tree->Find("signed");
      out += (out.empty() ? "" : ".") +
             (body ? std::to_string(*body->Find("version")->if_integer()) : "0");
    }
    return out;
  }
  void EditNext(const std::string& role, std::vector<std::string> path, JsonValue value) {
    repository_.edit = [=](const std::string& name, JsonValue& body) {
      if (name == role) body = WithMember(body, path, value);
    };
    repository_.PublishNext();
    repository_.edit = nullptr;
  }
  void PublishRoot() {
    ++repository_.role("root").version;
    repository_.PublishRoot();
  }

  TufRepository repository_{kNow, ""};
  MemoryFileSystem files_;
  MetadataClient client_;
};

}  // namespace sallyport::ota
