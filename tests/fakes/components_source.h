// Serves the components of a test release from memory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ota/install/install_plan.h"
#include "ota/install/payload_source.h"
#include "pki/crypto/hash.h"

namespace sallyport {

// FactsOf is a release of nothing but components.
inline ota::InstallFacts FactsOf(std::vector<ota::RemoteComponent> components) {
  const ota::RemoteFile none{"", 0, pki::Sha256(Bytes())};
  return {.release = ReleaseDigest::FromArray({1}),
          .product = "edge-os",
          .version = "2",
          .rollback_index = 1,
          .security_floor = false,
          .image_length = 1,
          .image_sha256 = none.sha256,
          .uki = none,
          .index = none,
          .payload = none,
          .components = std::move(components)};
}

class ComponentsSource final : public ota::PayloadSource {
 public:
  // Add returns what a release says of the component.
  ota::RemoteComponent Add(const std::string& name, Bytes content,
                           std::optional<ota::FirmwareVersion> firmware = std::nullopt) {
    ota::RemoteFile file{"components/" + name, content.size(), pki::Sha256(content)};
    served[file.path] = std::move(content);
    return {name, std::move(file), std::move(firmware)};
  }
  Result<Unit> Fetch(const ota::RemoteFile& file, uint64_t offset, uint64_t length,
                     ota::ByteSink& sink) override {
    ++fetches;
    const Bytes& content = served.at(file.path);
    const size_t end = std::min<size_t>(content.size(), offset + length + surplus);
    for (size_t at = offset; at < end; at += 1000)
      SP_TRY(sink.Write(ByteView(content).subspan(at, std::min<size_t>(1000, end - at))));
    return Unit{};
  }

  std::map<std::string, Bytes> served;
  unsigned fetches = 0;
  size_t surplus = 0;  // bytes pushed beyond what was asked for
};

}  // namespace sallyport
