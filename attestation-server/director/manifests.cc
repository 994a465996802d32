#include "attestation-server/director/manifests.h"

#include "attestation-server/director/inventory.h"
#include "attestation-server/store/meta.h"
#include "attestation-server/store/policies.h"
#include "attestation-server/store/rollouts.h"
#include "policies/decision/compile.h"
#include "policies/language/reader.h"

namespace sallyport::server {
Manifests::Manifests(ManifestParts parts, ManifestTerms terms)
    : parts_(parts),
      terms_(std::move(terms)),
      director_(
          parts_.signer, [this](const std::string&) { return NextVersion(); }, terms_.lease,
          terms_.devices_max),
      roots_(terms_.director_roots),
      held_(terms_.devices_max) {}

void Manifests::Invalidate() {
  const std::lock_guard lock(world_mutex_);
  ++serial_;
}

void Manifests::AddDirectorRoot(Bytes root) {
  const std::lock_guard lock(world_mutex_);
  roots_.push_back(std::move(root));
  ++serial_;
}

Result<Director::Version> Manifests::NextVersion() {
  uint64_t counter = 0;
  SP_TRY(parts_.database.writer().Run([&](Transaction& transaction) -> Result<Unit> {
    SP_TRY(counter, RaiseCounter(transaction.connection(), Counter::kDirector));
    return Unit{};
  }));
  return Director::Version{terms_.incarnation, static_cast<uint32_t>(counter)};
}

Result<Manifests::World> Manifests::LoadWorld(UnixTime now) {
  World world;
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const std::optional<PolicyRow> row, Policies(snapshot.connection()).InForce());
  if (!row) return world;
  SP_TRY(const std::vector<DeviceRecord> devices, LoadDevices(snapshot.connection()));
  SP_TRY(world.manifest, policy::ParsePolicyManifest(row->manifest));
  policy::Diagnostics findings("policy " + std::to_string(row->version));
  const std::optional<policy::Policy> parsed =
      policy::ReadPolicy(row->source, parts_.zones, findings);
  const policy::Inventory inventory = InventoryOf(devices, now);
  const std::optional<policy::RuleSet> lowered =
      parsed ? policy::Lower(*parsed, &inventory, findings) : std::nullopt;
  if (!lowered)
    return Error{Reason::kMalformed, "the policy in force does not compile over today's devices",
                 "policy.stale"};
  world.texts = policy::MakePolicyTexts(*lowered);
  SP_TRY(policy::RuleSet rules, policy::ReadSignedRules(world.texts, *world.manifest));
  world.compiled = policy::Compile(std::move(rules), FactsOf(devices));
  return world;
}

Result<std::shared_ptr<const Manifests::World>> Manifests::CurrentWorld(UnixTime now) {
  const std::lock_guard lock(world_mutex_);
  if (world_ && world_->serial == serial_) return world_;
  const uint64_t serial = serial_;
  SP_TRY(World loaded, LoadWorld(now));
  loaded.serial = serial;
  loaded.director_roots = roots_;
  world_ = std::make_shared<const World>(std::move(loaded));
  return world_;
}

Result<std::string> Manifests::SliceText(const World& world,
                                         const policy::SliceHeader& header) const {
  if (!world.compiled) return std::string();
  return policy::BuildSlice(header, *world.compiled, *world.manifest, world.texts);
}

Result<std::optional<AssignedRelease>> Manifests::ReleaseOf(const std::string& device_id) {
  SP_TRY(Snapshot snapshot, parts_.database.Read());
  SP_TRY(const std::optional<LeaseRow> device, ReadLease(snapshot.connection(), device_id));
  if (!device) return Error{Reason::kNotFound, "no device '" + device_id + "'", "device.unknown"};
  SP_TRY(const std::optional<AssignedRow> row,
         FindAssignedRelease(snapshot.connection(), device_id));
  if (!row) return std::optional<AssignedRelease>();
  SP_TRY(AssignedRelease assigned, AssignRelease(AsBytes(row->release.json), row->rollout));
  return std::optional<AssignedRelease>(std::move(assigned));
}

Result<std::shared_ptr<const Manifests::Held>> Manifests::Compare(const std::string& device_id,
                                                                  const World& world,
                                                                  UnixTime now) {
  const int64_t half_lease = now.ms / (terms_.lease.ms / 2);
  const std::shared_ptr<const Held> known = held_.Find(device_id);
  if (known && known->world == world.serial && known->half_lease == half_lease) return known;
  SP_TRY(const std::string text, SliceText(world, {terms_.trust_domain, device_id, {}, {}, {}}));
  SP_TRY(const std::optional<AssignedRelease> release, ReleaseOf(device_id));
  const Bytes roots = ByteWriter().BigU64(world.director_roots.size()).bytes();
  const Sha256Digest content =
      pki::Sha256({AsBytes(text), release ? release->sha256.view() : ByteView(), roots});
  auto held = std::make_shared<Held>(known ? *known : Held{});
  if (!known || content != held->content || half_lease != held->half_lease) {
    held->generation = ++generations_;
    held->since = now;
    held->version = 0;
    held->slice = nullptr;
  }
  held->world = world.serial;
  held->half_lease = half_lease;
  held->content = content;
  held_.Put(device_id, held);
  return std::shared_ptr<const Held>(std::move(held));
}

Result<uint64_t> Manifests::Generation(const std::string& device_id, UnixTime now) {
  SP_TRY(const std::shared_ptr<const World> world, CurrentWorld(now));
  SP_TRY(const std::shared_ptr<const Held> held, Compare(device_id, *world, now));
  return held->generation;
}

std::optional<ManifestNews> Manifests::NewsOf(const std::string& device_id) {
  const std::shared_ptr<const Held> held = held_.Find(device_id);
  return held ? std::optional(ManifestNews{held->since, held->version}) : std::nullopt;
}

void Manifests::Forget(const std::string& device_id) {
  held_.Erase(device_id);
  director_.Forget(device_id);
}

Result<std::shared_ptr<const Bytes>> Manifests::MakeSlice(const std::string& device_id,
                                                          const World& world, UnixTime now) {
  SP_TRY(const Director::Version version, NextVersion());
  SP_TRY(const std::string slice, SliceText(world, {terms_.trust_domain,
                                                    device_id,
                                                    {version.incarnation, version.counter},
                                                    now,
                                                    now + terms_.lease}));
  return std::make_shared<const Bytes>(ToBytes(slice));
}

Result<ota::DeviceManifest> Manifests::For(const std::string& device_id, UnixTime now) {
  SP_TRY(const std::shared_ptr<const World> world, CurrentWorld(now));
  SP_TRY(const std::shared_ptr<const Held> known, Compare(device_id, *world, now));
  auto held = std::make_shared<Held>(*known);
  if (!held->slice) {
    SP_TRY(held->slice, MakeSlice(device_id, *world, now));
  }
  SP_TRY(std::optional<AssignedRelease> release, ReleaseOf(device_id));
  SP_TRY(DirectorMetadata metadata,
         director_.MetadataFor({device_id, std::move(release), *held->slice}, now));
  held->version = metadata.version;
  if (held->version != known->version) held_.Put(device_id, held);
  return ota::DeviceManifest{world->director_roots, std::move(metadata.timestamp),
                             std::move(metadata.snapshot), std::move(metadata.targets),
                             *held->slice};
}

}  // namespace sallyport::server
