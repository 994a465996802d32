// The TUF and Uptane vectors of Advanced Telematic and documents of aktualizr. They are written in
// the metadata dialect of 2017 (`_type` with a capital, no `spec_version`, keys without `scheme`),
// which the client refuses. So that they still say something, each is also brought to today's
// dialect and signed anew: a signature that verified verifies again under a key that takes the
// place of the old one, one that did not does not, and hashes that matched match.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "ota/metadata/client.h"
#include "pki/base/file_system.h"
#include "pki/crypto/hash.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fakes/tuf_repository.h"

namespace sallyport::ota {
namespace {

const std::string kVectors = SALLYPORT_SOURCE_DIR "/tests/vectors/tuf/";
const UnixTime kThen = ParseRfc3339("2020-01-01T00:00:00Z").value();
constexpr uint64_t kVectorSizeMax = 1 << 20;
using Files = std::map<std::string, std::string>;

JsonValue ReadJson(const std::string& name) {
  PosixFileSystem disk;
  const Bytes bytes = ReadFile(disk, kVectors + name, kVectorSizeMax).value();
  return ParseJson(AsText(bytes), {.size_max = kVectorSizeMax}).value();
}

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return std::tolower(c); });
  return text;
}

std::string HexSha(pki::HashAlgorithm algorithm, const std::string& text) {
  return HexEncode(pki::Hash(algorithm, {AsBytes(text)}));
}

// Translator brings the files of one repository to today's dialect.
class Translator {
 public:
  explicit Translator(const Files& old) : old_(old) {
    for (const auto& [name, text] : old_)
      if (name.ends_with("root.json") || text.find("delegations") != std::string::npos)
        LearnKeys(name, text);
  }
  Files Translate() {
    for (const auto& [name, text] : old_)
      if (!name.ends_with(".json")) new_[name] = text;
    // A file before the one that lists its hash.
    for (const char* last : {"", "snapshot.json", "timestamp.json"})
      for (const auto& [name, text] : old_)
        if (name.ends_with(".json") && !new_.contains(name) &&
            (*last != 0 ? name == last : name != "snapshot.json" && name != "timestamp.json"))
          new_[name] = Document(text);
    return new_;
  }

 private:
  static JsonValue WithScheme(const JsonValue& key) {
    const std::string type = Lower(*key.Find("keytype")->if_string());
    const std::string scheme = type == "rsa" ? "rsassa-pss-sha256" : type;
    return WithMember(WithMember(key, {"keytype"}, type), {"scheme"}, scheme);
  }
  void LearnKeys(const std::string& name, const std::string& text) {
    const JsonValue document = ParseJson(text).value();
    const JsonValue* body = document.Find("signed");
    const JsonValue* holder = name.ends_with("root.json") ? body : body->Find("delegations");
    if (holder == nullptr) return;
    std::vector<JsonMember> members;
    for (const JsonMember& key : *holder->Find("keys")->if_object())
      members.push_back({key.key, WithScheme(key.value)});
    const JsonValue keys = JsonValue::Object(std::move(members));
    const KeyMap usable = ParseKeys(JsonCursor(keys)).value();
    for (const auto& [id, key] : usable) {
      keys_.insert_or_assign(id, key);
      substitutes_.try_emplace(key.spki(),
                               pki::PrivateKey::Generate(pki::KeyType::kEd25519).value());
    }
  }
  JsonValue Keys(const JsonValue& keys) const {
    std::vector<JsonMember> out;
    for (const JsonMember& key : *keys.if_object()) {
      const auto usable = keys_.find(key.key);
      out.push_back(
          {key.key, usable == keys_.end()
                        ? WithScheme(key.value)
                        : KeyToJson(substitutes_.at(usable->second.spki()).public_key())});
    }
    return JsonValue::Object(std::move(out));
  }
  // Meta keeps a hash or length that was wrong, and renews one that was right.
  JsonValue Meta(const JsonValue& meta) const {
    std::vector<JsonMember> out;
    for (const JsonMember& file : *meta.if_object()) {
      if (file.key.ends_with("root.json")) continue;  // TUF 1.0 does not list the root
      JsonValue entry = file.value;
      const auto old = old_.find(file.key);
      if (old != old_.end() && new_.contains(file.key)) entry = Renew(entry, file.key);
      out.push_back({file.key, entry});
    }
    return JsonValue::Object(std::move(out));
  }
  JsonValue Renew(JsonValue entry, const std::string& name) const {
    const std::string& before = old_.at(name);
    const std::string& after = new_.at(name);
    const JsonValue* length = entry.Find("length");
    if (length != nullptr && *length->if_integer() == static_cast<int64_t>(before.size()))
      entry = WithMember(entry, {"length"}, after.size());
    for (const auto& [label, algorithm] : {std::pair{"sha256", pki::HashAlgorithm::kSha256},
                                           std::pair{"sha512", pki::HashAlgorithm::kSha512}}) {
      const JsonValue* hashes = entry.Find("hashes");
      const JsonValue* hash = hashes != nullptr ? hashes->Find(label) : nullptr;
      if (hash != nullptr && *hash->if_string() == HexSha(algorithm, before))
        entry = WithMember(entry, {"hashes", label}, HexSha(algorithm, after));
    }
    return entry;
  }
  JsonValue Body(JsonValue body) const {
    body = WithMember(body, {"_type"}, Lower(*body.Find("_type")->if_string()));
    body = WithMember(body, {"spec_version"}, "1.0");
    if (const JsonValue* keys = body.Find("keys")) body = WithMember(body, {"keys"}, Keys(*keys));
    if (const JsonValue* meta = body.Find("meta")) body = WithMember(body, {"meta"}, Meta(*meta));
    const JsonValue* delegations = body.Find("delegations");
    if (delegations != nullptr)
      body = WithMember(body, {"delegations", "keys"}, Keys(*delegations->Find("keys")));
    return body;
  }
  std::string Document(const std::string& text) const {
    const JsonValue document = ParseJson(text).value();
    const std::string before = CanonicalJson(*document.Find("signed"));
    const JsonValue body = Body(*document.Find("signed"));
    const std::string after = CanonicalJson(body);
    std::vector<JsonValue> signatures;
    for (const JsonValue& signature : *document.Find("signatures")->if_array()) {
      const std::string& id = *signature.Find("keyid")->if_string();
      const auto key = keys_.find(id);
      const auto old = HexDecode(*signature.Find("sig")->if_string());
      const bool good = key != keys_.end() && old && key->second.Verify(AsBytes(before), *old);
      const std::string value =
          good ? HexEncode(substitutes_.at(key->second.spki()).Sign(AsBytes(after)).value())
               : std::string(128, '0');
      signatures.push_back(JsonValue::Object({{"keyid", id}, {"sig", value}}));
    }
    return WriteJson(JsonValue::Object(
        {{"signed", body}, {"signatures", JsonValue::Array(std::move(signatures))}}));
  }

  const Files& old_;
  Files new_;
  KeyMap keys_;
  std::map<Bytes, pki::PrivateKey> substitutes_;
};

class FilesFetcher final : public Fetcher {
 public:
  explicit FilesFetcher(const Files& files) : files_(files) {}
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override {
    const auto at = files_.find(file);
    if (at == files_.end()) return Error{Reason::kNotFound, file};
    if (at->second.size() > size_max) return Error{Reason::kTooLarge, file, "fetch.size"};
    return ToBytes(at->second);
  }
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override {
    return FetchMetadata(path, size_max);
  }

 private:
  const Files& files_;
};

// Answer is `ok` when the client trusts the repository and downloads its target; else the rule.
std::string Answer(const Files& files) {
  if (!files.contains("1.root.json")) return "no repository";
  FilesFetcher fetcher(files);
  MemoryFileSystem memory;
  MetadataClient client(memory, "/tuf", {});
  const auto first = client.Initialise(AsBytes(files.at("1.root.json")));
  if (!first) return std::string(first.error().name());
  auto trusted = client.Refresh(fetcher, kThen);
  if (!trusted) return std::string(trusted.error().name());
  const auto target = client.FindTarget(*trusted, fetcher, "targets/file.txt");
  if (!target) return std::string(target.error().name());
  const auto got = client.Download(*trusted, fetcher, "targets/file.txt", target->file, 1000);
  return got ? "ok" : std::string(got.error().name());
}

struct Vector {
  std::string name;
  bool accept;
  std::string error;
  std::vector<Files> repositories;
};

std::vector<Vector> ReadVectors(const std::string& file) {
  std::vector<Vector> out;
  const JsonValue tree = ReadJson(file);
  for (const JsonValue& v : *tree.if_array()) {
    out.push_back({*v.Find("name")->if_string(),
                   *v.Find("accept")->if_bool(),
                   *v.Find("error")->if_string(),
                   {}});
    for (const JsonMember& repository : *v.Find("repositories")->if_object()) {
      Files& files = out.back().repositories.emplace_back();
      for (const JsonMember& one : *repository.value.if_object())
        files[one.key] = *one.value.if_string();
    }
  }
  return out;
}

// Compare prints the agreement and returns the names of the vectors judged otherwise.
std::vector<std::string> Compare(const std::string& file, bool translate) {
  std::vector<std::string> differ;
  const auto vectors = ReadVectors(file);
  for (const Vector& vector : vectors) {
    std::string answers;
    bool accepted = true;
    for (const Files& files : vector.repositories) {
      const std::string answer = Answer(translate ? Translator(files).Translate() : files);
      accepted = accepted && answer == "ok";
      answers += " " + answer;
    }
    if (accepted != vector.accept) differ.push_back(vector.name);
    if (accepted != vector.accept || translate)
      std::printf("  %s: theirs %s, ours%s\n", vector.name.c_str(),
                  vector.accept ? "ok" : vector.error.c_str(), answers.c_str());
  }
  std::printf("%s%s: %zu/%zu\n", file.c_str(), translate ? ", translated" : "",
              vectors.size() - differ.size(), vectors.size());
  return differ;
}

using Names = std::vector<std::string>;

TEST(AtsTufVectors, AgreeInTodaysDialectButForTheDocumentedOnes) {
  EXPECT_EQ(Compare("ats/tuf.json", true), (Names{"022", "028", "034"}));
}

TEST(AtsTufVectors, AreAllRefusedInTheirOwnDialect) {
  EXPECT_EQ(Compare("ats/tuf.json", false), (Names{"022", "028", "034", "046", "052", "054"}));
}

TEST(AtsUptaneVectors, AgreeInTodaysDialectButForTheDocumentedOnes) {
  EXPECT_EQ(Compare("ats/uptane.json", true), (Names{"042", "044", "070"}));
}

TEST(AtsUptaneVectors, AreAllRefusedInTheirOwnDialect) {
  EXPECT_EQ(Compare("ats/uptane.json", false), (Names{"024", "042", "044", "070"}));
}

TEST(AktualizrDocuments, HaveTheCanonicalFormThatAktualizrSigned) {
  // Key and signature as aktualizr's crypto test states them, the signature in hex.
  const auto key = pki::PublicKey::FromEd25519(
      *HexDecode("cb07563157805c279ec90ccb057f2c3ea6e89200e1e67f8ae66185987ded9b1c"));
  const Bytes signature = *HexDecode(
      "952d46208e8c4b61403ee4b304f1ce65b134c0b211a458656da09280d3892d3d"
      "61fbaf4e8da37f610ab5eaece85d7deb7affc3870d1169ae2ff71a1c13c1a604");
  const JsonValue body = ReadJson("aktualizr/ed25519_signed.json");
  EXPECT_TRUE(key->Verify(AsBytes(CanonicalJson(body)), signature));
  EXPECT_FALSE(key->Verify(AsBytes(CanonicalJson(WithMember(body, {"version"}, 2))), signature));
}

TEST(AktualizrDocuments, WithRsaKeysAreSignedOverAnotherCanonicalForm) {
  for (const char* name :
       {"aktualizr/root-with-extra-keys.json", "aktualizr/rsassa-pss-sha256/root.json"}) {
    const JsonValue document = ReadJson(name);
    const JsonValue& signature = document.Find("signatures")->if_array()->front();
    const JsonValue& body = *document.Find("signed");
    const JsonValue* key = body.Find("keys")->Find(*signature.Find("keyid")->if_string());
    const auto rsa =
        pki::PublicKey::FromPem(*key->Find("keyval")->Find("public")->if_string()).value();
    const auto verifies = [&](const std::string& text) {
      return rsa
          .Verify(pki::SignatureScheme::kRsaPss, pki::HashAlgorithm::kSha256, AsBytes(text),
                  Base64Decode(*signature.Find("sig")->if_string()).value())
          .has_value();
    };
    const std::string canonical = CanonicalJson(body);
    // Theirs escapes the line breaks of PEM keys.
    EXPECT_TRUE(verifies(std::regex_replace(canonical, std::regex("\n"), "\\n"))) << name;
    EXPECT_FALSE(verifies(canonical)) << name;
    EXPECT_EQ(TrustedMetadata::Start(AsBytes(WriteJson(document)), kThen, {}).error().name(),
              "tuf.wrong-type");
  }
}

}  // namespace
}  // namespace sallyport::ota
