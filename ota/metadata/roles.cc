#include "ota/metadata/roles.h"

#include <algorithm>
#include <set>

#include "ota/metadata/limits.h"
#include "pki/crypto/hash.h"

namespace sallyport::ota {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr std::string_view kSuffix = ".json";

struct Common {
  uint64_t version;
  UnixTime expires;
};

bool IsSpecVersion1(std::string_view text) {
  if (text != "1" && !text.starts_with("1.")) return false;
  return std::ranges::all_of(text, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

// TUF 4.2.1: exactly YYYY-MM-DDTHH:MM:SSZ.
Result<UnixTime> ParseExpires(const JsonCursor& body) {
  SP_TRY(const std::string_view text, body.GetString("expires"));
  const auto time = ParseRfc3339(text);
  if (text.size() != 20 || !text.ends_with('Z') || !time)
    return body.Refuse("not a time", "tuf.expires");
  return *time;
}

Result<Common> ParseCommon(const JsonCursor& body, std::string_view type) {
  SP_TRY(const std::string_view actual, body.GetString("_type"));
  if (actual != type) return body.Refuse("expected type " + std::string(type), "tuf.wrong-type");
  SP_TRY(const std::string_view spec, body.GetString("spec_version"));
  if (!IsSpecVersion1(spec)) return body.Refuse("specification version", "tuf.spec-version");
  SP_TRY(const int64_t version, body.GetInteger("version", 1, kMax));
  SP_TRY(const UnixTime expires, ParseExpires(body));
  return Common{static_cast<uint64_t>(version), expires};
}

Result<MetaFile> ParseMetaFile(const JsonCursor& file) {
  SP_TRY(const int64_t version, file.GetInteger("version", 1, kMax));
  MetaFile out{static_cast<uint64_t>(version), std::nullopt, std::nullopt};
  if (const auto length = file.Find("length")) {
    SP_TRY(const int64_t size, length->Integer(1, kMax));
    out.length = static_cast<uint64_t>(size);
  }
  if (const auto hashes = file.Find("hashes")) {
    SP_TRY(out.digests, Digests::Parse(*hashes));
  }
  return out;
}

bool IsRoleName(std::string_view name) {
  const bool reserved =
      std::ranges::any_of(kTopRoles, [&](Role role) { return RoleName(role) == name; });
  return !name.empty() && name.size() <= kRoleNameSizeMax && !reserved;
}

Result<TargetFile> ParseTargetFile(const JsonCursor& file) {
  SP_TRY(const int64_t length, file.GetInteger("length", 0, kMax));
  SP_TRY(const JsonCursor hashes, file.Member("hashes"));
  SP_TRY(Digests digests, Digests::Parse(hashes));
  const JsonValue* custom = file.value().Find("custom");
  return TargetFile{static_cast<uint64_t>(length), std::move(digests),
                    custom != nullptr ? *custom : JsonValue()};
}

Result<std::vector<std::string>> ParsePrefixes(const JsonCursor& list) {
  SP_TRY(auto prefixes, list.Strings());
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  for (const std::string& prefix : prefixes) {
    if (prefix.size() > 64 || !std::ranges::all_of(prefix, is_hex))
      return list.Refuse("not a hex prefix");
  }
  return prefixes;
}

Result<Delegation> ParseDelegation(const JsonCursor& role, const KeyMap& keys) {
  SP_TRY(const std::string_view name, role.GetString("name"));
  if (!IsRoleName(name)) return role.Refuse("role name", "tuf.role-name");
  SP_TRY(RoleKeys role_keys, RoleKeys::Parse(role, keys));
  SP_TRY(const JsonCursor::Flag terminating, role.GetBool("terminating"));
  Delegation out{std::string(name), std::move(role_keys), terminating.value,
                 Delegation::Patterns{}};
  const auto globs = role.Find("paths");
  const auto prefixes = role.Find("path_hash_prefixes");
  if (globs.has_value() == prefixes.has_value())
    return role.Refuse("needs exactly one of paths and path_hash_prefixes", "tuf.delegation-paths");
  if (globs) {
    SP_TRY(auto list, globs->Strings());
    out.paths = Delegation::Patterns{std::move(list)};
  } else {
    SP_TRY(auto list, ParsePrefixes(*prefixes));
    out.paths = Delegation::HashPrefixes{std::move(list)};
  }
  return out;
}

Result<std::vector<Delegation>> ParseDelegations(const JsonCursor& delegations) {
  SP_TRY(const JsonCursor key_list, delegations.Member("keys"));
  SP_TRY(const KeyMap keys, ParseKeys(key_list));
  SP_TRY(const auto roles, delegations.GetElements("roles"));
  std::vector<Delegation> out;
  std::set<std::string> names;
  for (const JsonCursor& role : roles) {
    SP_TRY(Delegation delegation, ParseDelegation(role, keys));
    if (!names.insert(delegation.name).second)
      return role.Refuse("role delegated twice", "tuf.duplicate-role");
    out.push_back(std::move(delegation));
  }
  return out;
}

Result<RepositoryProfile> ParseProfile(const JsonCursor& member) {
  SP_TRY(const JsonCursor::Flag development, member.GetBool("development"));
  SP_TRY(const std::string_view trust_domain, member.GetString("trust_domain"));
  return RepositoryProfile{development.value, std::string(trust_domain)};
}

// ComponentMatches: `*` any run, `?` any one character; iterative, linear in practice.
bool ComponentMatches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

Result<Digests> Digests::Parse(const JsonCursor& hashes) {
  Digests out;
  SP_TRY(const auto entries, hashes.Entries());
  for (const auto& [name, value] : entries) {
    if (name != "sha256" && name != "sha512") continue;
    SP_TRY(const std::string_view hex, value.String());
    SP_TRY(Bytes bytes, HexDecode(hex));
    if (name == "sha256") {
      SP_TRY(out.sha256_, Sha256Digest::FromView(bytes));
    } else if (bytes.size() == 64) {
      out.sha512_ = std::move(bytes);
    } else {
      return value.Refuse("expected 64 bytes");
    }
  }
  if (!out.sha256_ && !out.sha512_)
    return hashes.Refuse("no digest that can be checked", "tuf.no-digest");
  return out;
}

Digests Digests::Of(ByteView bytes) { return FromSha256(pki::Sha256(bytes)); }

Digests Digests::FromSha256(const Sha256Digest& digest) {
  Digests out;
  out.sha256_ = digest;
  return out;
}

Result<Unit> Digests::Check(ByteView bytes, std::string_view what) const {
  const bool good256 = !sha256_ || pki::Sha256(bytes) == *sha256_;
  const bool good512 = !sha512_ || pki::Hash(pki::HashAlgorithm::kSha512, {bytes}) == *sha512_;
  if (!good256 || !good512)
    return Error{Reason::kMismatch, std::string(what) + ": digest differs", "tuf.digest"};
  return Ok();
}

std::string Digests::PathPrefix() const {
  return sha256_ ? HexEncode(*sha256_) : HexEncode(*sha512_);
}

JsonValue Digests::ToJson() const {
  std::vector<JsonMember> members;
  if (sha256_) members.push_back({"sha256", HexEncode(*sha256_)});
  if (sha512_) members.push_back({"sha512", HexEncode(*sha512_)});
  return JsonValue::Object(std::move(members));
}

Result<Unit> TargetFile::Check(ByteView bytes, std::string_view what) const {
  if (bytes.size() != length)
    return Error{Reason::kMismatch, std::string(what) + ": length differs", "tuf.length"};
  return digests.Check(bytes, what);
}

Result<Root> Root::Parse(const VerifiedBody& body) {
  const JsonCursor cursor = body.cursor();
  SP_TRY(const Common common, ParseCommon(cursor, "root"));
  Root out{common.version, common.expires, false, {}, std::nullopt};
  if (const auto flag = cursor.Find("consistent_snapshot")) {
    SP_TRY(const JsonCursor::Flag consistent, flag->Bool());
    out.consistent_snapshot = consistent.value;
  }
  SP_TRY(const JsonCursor key_list, cursor.Member("keys"));
  SP_TRY(const KeyMap keys, ParseKeys(key_list));
  SP_TRY(const JsonCursor roles, cursor.Member("roles"));
  for (const Role role : kTopRoles) {
    SP_TRY(const JsonCursor entry, roles.Member(RoleName(role)));
    SP_TRY(RoleKeys role_keys, RoleKeys::Parse(entry, keys));
    out.roles.push_back(std::move(role_keys));
  }
  if (const auto member = cursor.Find("sallyport")) {
    SP_TRY(out.profile, ParseProfile(*member));
  }
  return out;
}

Result<Timestamp> Timestamp::Parse(const VerifiedBody& body) {
  const JsonCursor cursor = body.cursor();
  SP_TRY(const Common common, ParseCommon(cursor, "timestamp"));
  SP_TRY(const JsonCursor meta, cursor.Member("meta"));
  SP_TRY(const JsonCursor entry, meta.Member("snapshot.json"));
  SP_TRY(MetaFile snapshot, ParseMetaFile(entry));
  return Timestamp{common.version, common.expires, std::move(snapshot), body.digest()};
}

Result<Snapshot> Snapshot::Parse(const VerifiedBody& body) {
  const JsonCursor cursor = body.cursor();
  SP_TRY(const Common common, ParseCommon(cursor, "snapshot"));
  SP_TRY(const JsonCursor meta, cursor.Member("meta"));
  SP_TRY(const auto entries, meta.Entries());
  Snapshot out{common.version, common.expires, {}, body.digest()};
  for (const auto& [name, entry] : entries) {
    if (!name.ends_with(kSuffix)) return entry.Refuse("not a metadata file name", "tuf.role-name");
    SP_TRY(MetaFile file, ParseMetaFile(entry));
    out.roles.emplace(name.substr(0, name.size() - kSuffix.size()), std::move(file));
  }
  if (!out.roles.contains("targets"))
    return meta.Refuse("'targets.json' is missing", "json.missing-key");
  return out;
}

const MetaFile* Snapshot::Find(std::string_view role) const {
  const auto at = roles.find(role);
  return at == roles.end() ? nullptr : &at->second;
}

Result<Targets> Targets::Parse(const VerifiedBody& body) {
  const JsonCursor cursor = body.cursor();
  SP_TRY(const Common common, ParseCommon(cursor, "targets"));
  Targets out{common.version, common.expires, {}, {}, {}, body.digest()};
  SP_TRY(const JsonCursor list, cursor.Member("targets"));
  SP_TRY(const auto entries, list.Entries());
  for (const auto& [path, entry] : entries) {
    if (path.empty() || path.size() > kTargetPathSizeMax)
      return entry.Refuse("target path", "tuf.target-path");
    SP_TRY(TargetFile file, ParseTargetFile(entry));
    out.targets.emplace(path, std::move(file));
  }
  if (const auto delegations = cursor.Find("delegations")) {
    SP_TRY(out.delegations, ParseDelegations(*delegations));
  }
  if (const auto member = cursor.Find("sallyport")) out.sallyport = member->value();
  return out;
}

const TargetFile* Targets::Find(std::string_view path) const {
  const auto at = targets.find(path);
  return at == targets.end() ? nullptr : &at->second;
}

const Delegation* Targets::FindDelegation(std::string_view role) const {
  const auto at = std::ranges::find(delegations, role, &Delegation::name);
  return at == delegations.end() ? nullptr : &*at;
}

bool GlobMatches(std::string_view pattern, std::string_view path) {
  while (true) {
    const size_t pattern_slash = pattern.find('/');
    const size_t path_slash = path.find('/');
    if ((pattern_slash == std::string_view::npos) != (path_slash == std::string_view::npos))
      return false;
    if (!ComponentMatches(pattern.substr(0, pattern_slash), path.substr(0, path_slash)))
      return false;
    if (pattern_slash == std::string_view::npos) return true;
    pattern.remove_prefix(pattern_slash + 1);
    path.remove_prefix(path_slash + 1);
  }
}

bool Delegation::Matches(std::string_view path) const {
  if (const auto* patterns = std::get_if<Patterns>(&paths))
    return std::ranges::any_of(patterns->globs,
                               [&](const std::string& glob) { return GlobMatches(glob, path); });
  const std::string digest = HexEncode(pki::Sha256(AsBytes(path)));
  return std::ranges::any_of(std::get<HashPrefixes>(paths).hex,
                             [&](const std::string& prefix) { return digest.starts_with(prefix); });
}

}  // namespace sallyport::ota
