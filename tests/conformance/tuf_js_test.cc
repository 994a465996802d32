// Another TUF client, npm's tuf-js, reads a repository that our tool made, through a root rotation.
// Fetches the client from npm's registry once per build tree; label `tufjs`.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "ota/repository/ceremony.h"
#include "ota/repository/keys.h"
#include "ota/repository/sign.h"
#include "pki/crypto/hash.h"
#include "tests/node/child_process.h"

namespace sallyport::ota {
namespace {

namespace fs = std::filesystem;
const fs::path kScripts = SALLYPORT_SOURCE_DIR "/tests/conformance/tuf-js";
const fs::path kInstalled = SALLYPORT_TUFJS_DIR;
const std::string kTarget = "releases/edge-os/1.0.0/release.json";

class TufJs : public testing::Test {
 protected:
  TufJs() {
    std::string pattern = (fs::temp_directory_path() / "sallyport-tufjs-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~TufJs() override { fs::remove_all(directory_); }

  static void SetUpTestSuite() {
    fs::create_directories(kInstalled);
    for (const char* file : {"package.json", "package-lock.json", "read.mjs"})
      fs::copy_file(kScripts / file, kInstalled / file, fs::copy_options::overwrite_existing);
    if (fs::exists(kInstalled / "node_modules/tuf-js/package.json")) return;
    ASSERT_EQ(Run({"npm", "ci", "--no-audit", "--no-fund", "--prefix", kInstalled.string()}, ""),
              0);
  }
  static int Run(const std::vector<std::string>& arguments, const std::string& log) {
    auto child = node::ChildProcess::Start(arguments, log);
    return child ? child->Wait(Minutes(3)).value_or(-1) : -1;
  }
  // Read returns the exit code of the client that starts at `root`; see `facts`.
  int Read(const std::string& root, const std::vector<std::string>& targets = {kTarget}) {
    std::vector<std::string> arguments = {"node", (kInstalled / "read.mjs").string(), Repository(),
                                          root};
    arguments.insert(arguments.end(), targets.begin(), targets.end());
    const std::string log = directory_ + "/log";
    fs::remove(log);
    const int code = Run(arguments, log);
    output = ToString(ReadFile(files_, log, 1 << 20).value());
    facts.clear();
    std::istringstream lines(output);
    for (std::string name, value; lines >> name >> value;) facts[name] = value;
    return code;
  }
  std::string Repository() const { return directory_ + "/repo"; }
  std::string Key(const std::string& name) const {
    return directory_ + "/keys/offline/" + name + ".pem";
  }
  void Sign(RepositoryFolder& folder, const std::string& role,
            const std::vector<std::string>& keys) {
    for (const std::string& key : keys)
      ASSERT_TRUE(SignStaged(folder, role, LoadSigner(files_, Key(key), "").value())) << key;
  }
  void PublishAll(RepositoryFolder& folder) {
    const auto done =
        Publish(folder, "edge.example", LoadOnlineKeys(files_, directory_ + "/keys", "").value(),
                OnlineLifetimes{}, now_);
    ASSERT_TRUE(done) << done.error().ToString();
  }
  void AddRelease(RepositoryFolder& folder, std::string_view content) {
    const auto file = folder.AddTarget(kTarget, AsBytes(content));
    ASSERT_TRUE(file);
    ASSERT_TRUE(folder.StageTargets("targets", {{kTarget, *file}}, now_ + Days(30), true));
    Sign(folder, "targets", {"targets-1", "targets-2"});
    PublishAll(folder);
  }
  // RotateRoot replaces the third root key.
  void RotateRoot(RepositoryFolder& folder) {
    const pki::PrivateKey fresh = pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
    const std::string id = KeyId(fresh.public_key());
    const JsonValue body = folder.Published("root")->body;
    const std::string gone = KeyId(LoadPublicKey(files_, Key("root-3") + ".pub").value());
    std::vector<JsonMember> keys = *body.Find("keys")->if_object();
    std::erase_if(keys, [&](const JsonMember& key) { return key.key == gone; });
    keys.push_back({id, KeyToJson(fresh.public_key())});
    std::vector<JsonMember> roles = *body.Find("roles")->if_object();
    std::vector<JsonValue> ids = *roles[0].value.Find("keyids")->if_array();
    ASSERT_EQ(roles[0].key, "root");
    for (JsonValue& listed : ids)
      if (*listed.if_string() == gone) listed = id;
    roles[0].value = WithMembers(roles[0].value, {{"keyids", JsonValue::Array(ids)}});
    ASSERT_TRUE(
        folder.StageBody("root", WithMembers(body, {{"keys", JsonValue::Object(std::move(keys))},
                                                    {"roles", JsonValue::Object(std::move(roles))},
                                                    {"version", 2}})));
    Sign(folder, "root", {"root-1", "root-2"});
    ASSERT_TRUE(SignStaged(folder, "root", Signer(fresh)));
    PublishAll(folder);
  }

  PosixFileSystem files_;
  UnixTime now_ = RealClock().Wall();
  std::string directory_;
  std::string output;
  std::map<std::string, std::string> facts;
};

TEST_F(TufJs, ReadsOurRepositoryThroughARootRotation) {
  ASSERT_TRUE(FoundUpdateTrust(files_, directory_ + "/keys", Repository(),
                               {.trust_domain = "edge.example"}, now_));
  RepositoryFolder folder(files_, Repository());
  AddRelease(folder, "first");
  const std::string first_root = Repository() + "/metadata/1.root.json";

  ASSERT_EQ(Read(first_root), 0) << output;
  EXPECT_EQ(facts["root"], "1");
  EXPECT_EQ(facts["targets"], "2");
  EXPECT_EQ(facts[kTarget], HexEncode(pki::Sha256(AsBytes("first"))));

  RotateRoot(folder);
  AddRelease(folder, "second");
  ASSERT_EQ(Read(first_root), 0) << output;
  EXPECT_EQ(facts["root"], "2");
  EXPECT_EQ(facts["targets"], "3");
  EXPECT_EQ(facts[kTarget], HexEncode(pki::Sha256(AsBytes("second"))));
  EXPECT_EQ(Read(first_root, {"releases/edge-os/9.9.9/release.json"}), 1);
}

}  // namespace
}  // namespace sallyport::ota
