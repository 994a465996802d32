#include "device-client/tpm/provider_key.h"

#include <map>
#include <mutex>

namespace sallyport::device {
namespace {

// One per process, as OpenSSL's default library context is.
struct Registry {
  std::mutex keys_mutex;  // guards the rest
  std::map<uint64_t, std::shared_ptr<const ProviderKey>> keys;
  uint64_t next = 1;
};
Registry& TheRegistry() {
  static Registry registry;
  return registry;
}

}  // namespace

uint64_t AddProviderKey(std::shared_ptr<const ProviderKey> key) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.keys_mutex);
  registry.keys.emplace(registry.next, std::move(key));
  return registry.next++;
}

void RemoveProviderKey(uint64_t id) {
  Registry& registry = TheRegistry();
  std::shared_ptr<const ProviderKey> last;  // ends outside the lock
  const std::lock_guard lock(registry.keys_mutex);
  const auto found = registry.keys.find(id);
  if (found == registry.keys.end()) return;
  last = std::move(found->second);
  registry.keys.erase(found);
}

std::shared_ptr<const ProviderKey> FindProviderKey(uint64_t id) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.keys_mutex);
  const auto found = registry.keys.find(id);
  return found == registry.keys.end() ? nullptr : found->second;
}

}  // namespace sallyport::device
