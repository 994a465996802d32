#include "attestation-server/store/devices.h"

#include <algorithm>

#include "attestation-server/store/limits.h"
#include "attestation-server/store/text_list.h"

namespace sallyport::server {

namespace {

// One list names the columns of every statement below; ReadDevice and the writers follow its order.
#define SP_DEVICE_FIXED                                                                           \
  "id, name, trust_domain, ek_spki_sha256, ek_manufacturer, ek_model, ek_version, vendor_chain, " \
  "ak_public, "                                                                                   \
  "ak_name, provenance, provenance_id, provenance_address, created_at, profile, tpm_kind"
#define SP_DEVICE_CHANGING                                                                        \
  "site, device_class, tags, state, quarantine_causes, tier, posture, reason, boot_id, "          \
  "boot_generation, "                                                                             \
  "reset_count, restart_count, clock_ms, clock_safe, firmware_version, boot_log_sha256, "         \
  "failed_boot_id, "                                                                              \
  "tls_name_current, serial_current, not_after_current, tls_name_next, serial_next, "             \
  "not_after_next, "                                                                              \
  "key_protection, attested_at, valid_until, renew_after, last_seen, epoch, incarnation, "        \
  "manifest_version, "                                                                            \
  "policy_version, issuer_epoch, reference_set, evidence_sha256, running_release, running_slot, " \
  "endpoint, null_name"

constexpr std::string_view kDeviceKinds =
    "tttttttittttti"
    "tt"  // fixed
    "ttttttttt"
    "iiiii"
    "ttt"
    "tti"
    "tti"  // placement .. keys
    "iiiiiiiiii"
    "tttttt"
    "i";  // key_protection .. issuer_epoch, texts, revision

#define SP_DEVICE_SELECT \
  "SELECT " SP_DEVICE_FIXED ", " SP_DEVICE_CHANGING ", revision FROM devices "

std::optional<std::string> NameText(const std::optional<KeySlot>& slot) {
  return slot.has_value() ? std::optional(HexEncode(slot->tls_name)) : std::nullopt;
}
std::optional<std::string> SerialText(const std::optional<KeySlot>& slot) {
  return slot.has_value() ? std::optional(slot->serial) : std::nullopt;
}
std::optional<UnixTime> EndOf(const std::optional<KeySlot>& slot) {
  return slot.has_value() ? std::optional(slot->not_after) : std::nullopt;
}

std::vector<Parameter> FixedParameters(const DeviceRecord& d) {
  return {d.id,
          d.name,
          d.trust_domain,
          d.tpm.ek_spki_hash,
          d.tpm.ek_manufacturer,
          d.tpm.ek_model,
          d.tpm.ek_version,
          d.tpm.vendor_chain ? 1 : 0,
          HexEncode(d.tpm.ak_public),
          HexEncode(d.tpm.ak_name),
          TextOf(d.provenance.kind),
          d.provenance.id,
          d.provenance.address,
          d.created_at,
          d.tpm.profile,
          TextOf(d.tpm.kind)};
}

std::vector<Parameter> ChangingParameters(const DeviceRecord& d) {
  const BootRecord boot = d.boot.value_or(BootRecord{});
  const auto if_booted = [&](const auto& value) {
    return d.boot.has_value() ? std::optional(value) : std::nullopt;
  };
  return {d.placement.site,
          d.placement.device_class,
          JoinList(d.placement.tags),
          TextOf(d.state),
          JoinCauses(d.causes),
          pki::TierName(d.tier),
          TextOf(d.posture),
          d.reason,
          if_booted(boot.id),
          boot.generation,
          boot.reset_count,
          boot.restart_count,
          boot.clock_ms,
          boot.clock_safe ? 1 : 0,
          boot.firmware_version,
          if_booted(boot.log_hash),
          d.failed_boot,
          NameText(d.current_key),
          SerialText(d.current_key),
          EndOf(d.current_key),
          NameText(d.next_key),
          SerialText(d.next_key),
          EndOf(d.next_key),
          static_cast<int>(d.key_protection),
          d.attested_at,
          d.valid_until,
          d.renew_after,
          d.last_seen,
          d.epoch,
          d.incarnation,
          d.manifest_version,
          d.policy_version,
          d.issuer_epoch,
          d.reference_set,
          d.evidence_hash,
          d.running_release,
          d.running_slot,
          d.endpoint,
          TextOf(d.null_name)};
}

// RowReader reads a row left to right, so that column order is written down once.
class RowReader {
 public:
  explicit RowReader(const Row& row) : row_(row) {}
  const std::string& Text() { return row_.Text(next_++); }
  int64_t Integer() { return row_.Integer(next_++); }
  uint64_t Unsigned() { return static_cast<uint64_t>(Integer()); }
  UnixTime Time() { return {Integer()}; }
  bool Flag() { return Integer() != 0; }
  Result<Bytes> Hex() { return HexDecode(Text()); }
  template <typename Fixed>
  Result<std::optional<Fixed>> Optional() {
    return row_.OptionalAt<Fixed>(next_++);
  }
  template <typename Fixed>
  Result<Fixed> Fixed_() {
    return row_.FixedAt<Fixed>(next_++);
  }
  Result<std::optional<KeySlot>> Key() {
    const size_t at = next_;
    next_ += 3;
    if (row_.IsNull(at)) return std::optional<KeySlot>();
    SP_TRY(Bytes name, HexDecode(row_.Text(at)));
    return std::optional<KeySlot>(KeySlot{std::move(name), row_.Text(at + 1), row_.Time(at + 2)});
  }

 private:
  const Row& row_;
  size_t next_ = 0;
};

Result<Unit> ReadFixed(RowReader& in, DeviceRecord& d) {
  d.id = in.Text();
  d.name = in.Text();
  d.trust_domain = in.Text();
  SP_TRY(d.tpm.ek_spki_hash, in.Fixed_<Sha256Digest>());
  d.tpm.ek_manufacturer = in.Text();
  d.tpm.ek_model = in.Text();
  d.tpm.ek_version = in.Text();
  d.tpm.vendor_chain = in.Flag();
  SP_TRY(d.tpm.ak_public, in.Hex());
  SP_TRY(d.tpm.ak_name, in.Hex());
  SP_TRY(d.provenance.kind, ParseWord<ProvenanceKind>(in.Text()));
  d.provenance.id = in.Text();
  d.provenance.address = in.Text();
  d.created_at = in.Time();
  d.tpm.profile = in.Text();
  SP_TRY(d.tpm.kind, ParseWord<TpmKind>(in.Text()));
  return Unit{};
}

Result<Unit> ReadJudged(RowReader& in, DeviceRecord& d) {
  d.placement.site = in.Text();
  d.placement.device_class = in.Text();
  d.placement.tags = SplitList(in.Text());
  SP_TRY(d.state, ParseWord<DeviceState>(in.Text()));
  SP_TRY(d.causes, ParseCauses(in.Text()));
  SP_TRY(d.tier, pki::ParseTier(in.Text()));
  SP_TRY(d.posture, ParseWord<Posture>(in.Text()));
  d.reason = in.Text();
  SP_TRY(const std::optional<BootId> boot_id, in.Optional<BootId>());
  BootRecord boot;
  boot.generation = in.Unsigned();
  boot.reset_count = static_cast<uint32_t>(in.Integer());
  boot.restart_count = static_cast<uint32_t>(in.Integer());
  boot.clock_ms = in.Unsigned();
  boot.clock_safe = in.Flag();
  boot.firmware_version = in.Text();
  SP_TRY(const std::optional<Sha256Digest> log_hash, in.Optional<Sha256Digest>());
  if (boot_id.has_value() && log_hash.has_value()) {
    boot.id = *boot_id;
    boot.log_hash = *log_hash;
    d.boot = boot;
  }
  SP_TRY(d.failed_boot, in.Optional<BootId>());
  return Unit{};
}

Result<Unit> ReadHeld(RowReader& in, DeviceRecord& d) {
  SP_TRY(d.current_key, in.Key());
  SP_TRY(d.next_key, in.Key());
  d.key_protection = static_cast<pki::KeyProtection>(in.Integer());
  d.attested_at = in.Time();
  d.valid_until = in.Time();
  d.renew_after = in.Time();
  d.last_seen = in.Time();
  d.epoch = in.Unsigned();
  d.incarnation = in.Unsigned();
  d.manifest_version = in.Unsigned();
  d.policy_version = in.Unsigned();
  d.issuer_epoch = in.Unsigned();
  SP_TRY(d.reference_set, in.Optional<Sha256Digest>());
  SP_TRY(d.evidence_hash, in.Optional<Sha256Digest>());
  SP_TRY(d.running_release, in.Optional<ReleaseDigest>());
  d.running_slot = in.Text();
  d.endpoint = in.Text();
  SP_TRY(d.null_name, ParseWord<NullNameState>(in.Text()));
  d.revision = in.Unsigned();
  return Unit{};
}

Result<DeviceRecord> ReadDevice(const Row& row) {
  DeviceRecord device;
  RowReader in(row);
  SP_TRY(ReadFixed(in, device));
  SP_TRY(ReadJudged(in, device));
  SP_TRY(ReadHeld(in, device));
  return device;
}

Result<std::optional<DeviceRecord>> One(Result<std::optional<Row>> found) {
  SP_TRY(const std::optional<Row> row, std::move(found));
  if (!row.has_value()) return std::optional<DeviceRecord>();
  SP_TRY(DeviceRecord device, ReadDevice(*row));
  return std::optional<DeviceRecord>(std::move(device));
}

}  // namespace

Posture PostureAt(const DeviceRecord& device, UnixTime now) {
  return device.posture == Posture::kPassing && now >= device.valid_until ? Posture::kExpired
                                                                          : device.posture;
}

Result<Unit> Devices::Insert(const DeviceRecord& device) {
  std::vector<Parameter> parameters = FixedParameters(device);
  std::ranges::move(ChangingParameters(device), std::back_inserter(parameters));
  parameters.emplace_back(device.revision);
  SP_TRY(connection_.Execute(
      "INSERT INTO devices (" SP_DEVICE_FIXED ", " SP_DEVICE_CHANGING
      ", revision) VALUES ("
      ":f0, :f1, :f2, :f3, :f4, :f5, :f6, :f7, :f8, :f9, :f10, :f11, :f12, :f13, :f14, :f15, "
      ":c0, :c1, :c2, :c3, :c4, :c5, :c6, :c7, :c8, :c9, :c10, :c11, :c12, :c13, :c14, :c15, :c16, "
      ":c17, :c18, :c19, "
      ":c20, :c21, :c22, :c23, :c24, :c25, :c26, :c27, :c28, :c29, :c30, :c31, :c32, :c33, :c34, "
      ":c35, :c36, :c37, :c38, "
      ":revision)",
      parameters));
  return Unit{};
}

Result<Unit> Devices::Update(const DeviceRecord& device) {
  std::vector<Parameter> parameters = ChangingParameters(device);
  parameters.emplace_back(device.id);
  parameters.emplace_back(device.revision);
  SP_TRY(const int64_t changed,
         connection_.Execute(
             "UPDATE devices SET site = :c0, device_class = :c1, tags = :c2, state = :c3, "
             "quarantine_causes = :c4, "
             "tier = :c5, posture = :c6, reason = :c7, boot_id = :c8, boot_generation = :c9, "
             "reset_count = :c10, "
             "restart_count = :c11, clock_ms = :c12, clock_safe = :c13, firmware_version = :c14, "
             "boot_log_sha256 = :c15, failed_boot_id = :c16, tls_name_current = :c17, "
             "serial_current = :c18, "
             "not_after_current = :c19, tls_name_next = :c20, serial_next = :c21, not_after_next = "
             ":c22, "
             "key_protection = :c23, attested_at = :c24, valid_until = :c25, renew_after = :c26, "
             "last_seen = :c27, "
             "epoch = :c28, incarnation = :c29, manifest_version = :c30, policy_version = :c31, "
             "issuer_epoch = :c32, "
             "reference_set = :c33, evidence_sha256 = :c34, running_release = :c35, running_slot = "
             ":c36, "
             "endpoint = :c37, null_name = :c38, revision = revision + 1 WHERE id = :id AND "
             "revision = :revision",
             parameters));
  if (changed != 1)
    return Error{Reason::kConflict, "the device changed meanwhile", "device.changed"};
  return Unit{};
}

Result<std::optional<DeviceRecord>> Devices::Find(std::string_view id) {
  return One(connection_.QueryOne(SP_DEVICE_SELECT "WHERE id = :id", kDeviceKinds, {id}));
}
Result<std::optional<DeviceRecord>> Devices::FindByName(std::string_view name) {
  return One(connection_.QueryOne(SP_DEVICE_SELECT "WHERE name = :name", kDeviceKinds, {name}));
}
Result<std::optional<DeviceRecord>> Devices::FindByAk(ByteView ak_name) {
  return One(connection_.QueryOne(SP_DEVICE_SELECT "WHERE ak_name = :ak", kDeviceKinds,
                                  {HexEncode(ak_name)}));
}
Result<std::optional<DeviceRecord>> Devices::FindByEk(const Sha256Digest& ek_spki_hash) {
  return One(connection_.QueryOne(SP_DEVICE_SELECT "WHERE ek_spki_sha256 = :ek", kDeviceKinds,
                                  {ek_spki_hash}));
}

Result<std::vector<DeviceRecord>> Devices::List(std::string_view after, int64_t limit) {
  SP_TRY(const std::vector<Row> rows,
         connection_.Query(SP_DEVICE_SELECT "WHERE name > :after ORDER BY name LIMIT :limit",
                           kDeviceKinds, {after, std::min(limit, kListMax)}));
  std::vector<DeviceRecord> out;
  for (const Row& row : rows) {
    SP_TRY(DeviceRecord device, ReadDevice(row));
    out.push_back(std::move(device));
  }
  return out;
}

Result<Unit> TouchDevice(Connection& connection, std::string_view id, UnixTime last_seen,
                         uint64_t manifest_version) {
  SP_TRY(connection.Execute(
      "UPDATE devices SET last_seen = :seen, manifest_version = :version WHERE id = :id",
      {last_seen, manifest_version, id}));
  return Unit{};
}

Result<Unit> PromoteKey(Connection& connection, std::string_view id, std::string_view serial) {
  SP_TRY(connection.Execute(
      "UPDATE devices SET tls_name_current = tls_name_next, serial_current = serial_next, "
      "not_after_current = not_after_next, tls_name_next = NULL, serial_next = NULL, "
      "not_after_next = NULL, "
      "revision = revision + 1 WHERE id = :id AND serial_next = :serial",
      {id, serial}));
  return Unit{};
}

Result<std::optional<LeaseRow>> ReadLease(Connection& connection, std::string_view id) {
  SP_TRY(
      const auto row,
      connection.QueryOne(
          "SELECT state, posture, valid_until, renew_after, epoch, incarnation, manifest_version, "
          "serial_current, serial_next FROM devices WHERE id = :id",
          "ttiiiiitt", {id}));
  if (!row.has_value()) return std::optional<LeaseRow>();
  LeaseRow lease;
  SP_TRY(lease.state, ParseWord<DeviceState>(row->Text(0)));
  SP_TRY(lease.posture, ParseWord<Posture>(row->Text(1)));
  lease.valid_until = row->Time(2);
  lease.renew_after = row->Time(3);
  lease.epoch = static_cast<uint64_t>(row->Integer(4));
  lease.incarnation = static_cast<uint64_t>(row->Integer(5));
  lease.manifest_version = static_cast<uint64_t>(row->Integer(6));
  lease.serial_current = row->Text(7);
  lease.serial_next = row->Text(8);
  return std::optional<LeaseRow>(std::move(lease));
}

Result<Unit> CheckLive(const LeaseRow& lease, UnixTime now) {
  if (lease.state != DeviceState::kActive)
    return Error{Reason::kPolicyDenied, "device is " + std::string(TextOf(lease.state)),
                 "lease.state"};
  if (lease.posture != Posture::kPassing)
    return Error{Reason::kPolicyDenied, "posture is " + std::string(TextOf(lease.posture)),
                 "lease.posture"};
  if (now >= lease.valid_until)
    return Error{Reason::kExpired, "evidence has run out", "lease.expired"};
  return Unit{};
}

Result<Unit> CheckLease(const LeaseRow& lease, uint64_t incarnation, uint64_t epoch, UnixTime now) {
  SP_TRY(CheckLive(lease, now));
  if (std::pair(incarnation, epoch) < std::pair(lease.incarnation, lease.epoch))
    return Error{Reason::kPolicyDenied, "certificate of an earlier epoch", "lease.epoch"};
  return Unit{};
}

}  // namespace sallyport::server
