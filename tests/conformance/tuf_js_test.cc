// Another TUF client, npm's tuf-js, reads a repository that `sallyport release` made: founded,
// signed by two, through a rotation of root, with a team's files. Fetches the client from npm's
// registry once per build tree; label `tufjs`.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "pki/base/file_system.h"
#include "pki/base/json.h"
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
  // Cli runs `sallyport` as people do; what it says is in `output`.
  void Cli(const std::vector<std::string>& arguments, int status = 0) {
    std::vector<std::string> command{std::string(std::getenv("SALLYPORT_BIN")) + "/sallyport"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const std::string log = directory_ + "/log";
    fs::remove(log);
    ASSERT_EQ(Run(command, log), status) << ToString(ReadFile(files_, log, 1 << 20).value());
    output = ToString(ReadFile(files_, log, 1 << 20).value());
  }
  void Release(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "release");
    arguments.insert(arguments.end(), {"--repository", Repository()});
    Cli(arguments);
  }
  void Sign(const std::string& role, const std::vector<std::string>& keys) {
    for (const std::string& key : keys) Release({"sign", "--role", role, "--key", Key(key)});
  }
  void Publish() { Release({"publish", "--keys", directory_ + "/keys"}); }
  void NewKey(const std::string& name, const std::string& type) {
    Cli({"release", "keys", "create", "--out", Key(name), "--type", type, "--unsealed"});
  }
  std::string IdOf(const std::string& key) {
    Cli({"release", "keys", "public", "--key", Key(key) + ".pub", "--json"});
    return *ParseJson(output)->Find("keyid")->if_string();
  }
  void Write(const std::string& path, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(files_, path, AsBytes(content)));
  }
  void CreateRelease(const std::string& version) {
    const std::string image = directory_ + "/root.img";
    const std::string uki = directory_ + "/uki.efi";
    Write(image, std::string(65536, version.front()));
    const fs::path make = SALLYPORT_SOURCE_DIR "/tests/node/make_uki.sh";
    ASSERT_EQ(Run({"sh", make.string(), "--version", version, "--image", image, "--out", uki},
                  directory_ + "/log"),
              0);
    Release({"create", "--product", "edge-os", "--version", version, "--hardware", "virtual-x86_64",
             "--uki", uki, "--image", image});
    Sign("targets", {"targets-1", "targets-2"});
    Publish();
  }
  // DigestOf is that of the file as our repository has it.
  std::string DigestOf(const std::string& target) {
    const fs::path path = Repository() + "/targets/" + target;
    for (const fs::directory_entry& entry : fs::directory_iterator(path.parent_path()))
      if (entry.path().filename().string().ends_with("." + path.filename().string()))
        return HexEncode(pki::Sha256(ReadFile(files_, entry.path().string(), 1 << 20).value()));
    return "no such file";
  }

  PosixFileSystem files_;
  std::string directory_;
  std::string output;
  std::map<std::string, std::string> facts;
};

TEST_F(TufJs, ReadsWhatTheCeremonyMadeThroughARotationOfRoot) {
  Cli({"release", "keys", "found", "--keys", directory_ + "/keys", "--repository", Repository(),
       "--trust-domain", "edge.example", "--unsealed"});
  CreateRelease("1.0.0");
  const std::string first_root = Repository() + "/metadata/1.root.json";
  ASSERT_EQ(Read(first_root), 0) << output;
  EXPECT_EQ(facts["root"], "1");
  EXPECT_EQ(facts[kTarget], DigestOf(kTarget));

  NewKey("root-4", "p-256");
  Release({"root", "--role", "root", "--add", Key("root-4") + ".pub", "--remove", IdOf("root-1")});
  Sign("root", {"root-2", "root-3", "root-4"});
  Publish();
  CreateRelease("2.0.0");
  const std::string second = "releases/edge-os/2.0.0/release.json";
  ASSERT_EQ(Read(first_root, {kTarget, second}), 0) << output;
  EXPECT_EQ(facts["root"], "2");
  EXPECT_EQ(facts[kTarget], DigestOf(kTarget));
  EXPECT_EQ(facts[second], DigestOf(second));
  EXPECT_EQ(Read(first_root, {"releases/edge-os/9.9.9/release.json"}), 1);
}

TEST_F(TufJs, ReadsATeamsFilesUntilTheTeamIsGoneAndRolesThatWereRenewed) {
  Cli({"release", "keys", "found", "--keys", directory_ + "/keys", "--repository", Repository(),
       "--trust-domain", "edge.example", "--unsealed"});
  CreateRelease("1.0.0");
  const std::string first_root = Repository() + "/metadata/1.root.json";
  NewKey("maps-1", "ed25519");
  NewKey("maps-2", "p-256");
  Release({"delegate", "--name", "maps", "--path", "maps/*", "--threshold", "2", "--key",
           Key("maps-1") + ".pub", "--key", Key("maps-2") + ".pub"});
  Sign("targets", {"targets-1", "targets-2"});
  Publish();
  Write(directory_ + "/berlin", "a map of Berlin");
  Release({"add", "--role", "maps", "--path", "maps/berlin", "--file", directory_ + "/berlin"});
  Sign("maps", {"maps-1", "maps-2"});
  Publish();
  ASSERT_EQ(Read(first_root, {"maps/berlin", kTarget}), 0) << output;
  EXPECT_EQ(facts["maps/berlin"], HexEncode(pki::Sha256(AsBytes("a map of Berlin"))));

  const std::string before = facts["targets"];
  Release({"renew", "--role", "targets"});
  Sign("targets", {"targets-1", "targets-2"});
  Release({"root"});
  Sign("root", {"root-1", "root-2"});
  Publish();
  ASSERT_EQ(Read(first_root, {"maps/berlin"}), 0) << output;
  EXPECT_EQ(facts["root"], "2");
  EXPECT_EQ(facts["targets"], std::to_string(std::stoi(before) + 1));

  Release({"delegate", "--name", "maps", "--remove"});
  Sign("targets", {"targets-1", "targets-2"});
  Publish();
  EXPECT_EQ(Read(first_root, {"maps/berlin"}), 1);
  EXPECT_EQ(Read(first_root), 0) << output;
}

// A draft that is below its threshold never becomes a repository.
TEST_F(TufJs, SeesNothingOfADraftBelowItsThreshold) {
  Cli({"release", "keys", "found", "--keys", directory_ + "/keys", "--repository", Repository(),
       "--trust-domain", "edge.example", "--unsealed"});
  CreateRelease("1.0.0");
  Release({"renew", "--role", "targets"});
  Sign("targets", {"targets-1"});
  Cli({"release", "publish", "--repository", Repository(), "--keys", directory_ + "/keys"}, 1);
  ASSERT_EQ(Read(Repository() + "/metadata/1.root.json"), 0) << output;
  EXPECT_EQ(facts[kTarget], DigestOf(kTarget));
}

}  // namespace
}  // namespace sallyport::ota
