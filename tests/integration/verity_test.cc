// dm-verity trees as veritysetup of Debian 12 makes them on plain files, in images that become
// releases.
#include <array>
#include <cstdlib>
#include <filesystem>

#include "ota/repository/review.h"
#include "ota/repository/verity.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::ota {
namespace {

struct Formatted {
  Bytes image;
  std::string root;  // hex, as veritysetup prints it
};

Bytes Data(size_t blocks) {
  Bytes out(blocks * kVerityBlockSize);
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(i * 7 + (i >> 12) * 13);
  return out;
}

// Format has veritysetup put the tree behind the data, with `options`.
Formatted Format(const Bytes& data, const std::string& options) {
  char name[] = "/tmp/sp-verity-XXXXXX";
  const std::string path = std::string(::mkdtemp(name)) + "/image";
  PosixFileSystem files;
  EXPECT_TRUE(WriteFileAtomically(files, path, data));
  const std::string size = std::to_string(data.size());
  const std::string command = "veritysetup format " + options +
                              " --data-blocks=" + std::to_string(data.size() / kVerityBlockSize) +
                              " --hash-offset=" + size + " " + path + " " + path + " 2>&1";
  FILE* const pipe = ::popen(command.c_str(), "r");
  std::string out;
  std::array<char, 512> part{};
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) out += part.data();
  EXPECT_EQ(::pclose(pipe), 0) << out;
  Formatted made{*ReadFile(files, path, 1 << 30), ""};
  constexpr std::string_view kLabel = "Root hash:";
  const size_t start = out.find_first_not_of(" \t", out.find(kLabel) + kLabel.size());
  made.root = out.substr(start, 64);
  std::filesystem::remove_all(std::filesystem::path(path).parent_path());
  return made;
}

Result<std::optional<VerityTree>> Find(const Bytes& image) {
  MemoryFileSystem files;
  files.Plant("image", image);
  const auto file = *files.Open("image", OpenMode::kRead);
  return FindVerity(*file);
}

std::string RuleOf(const Bytes& image) {
  const auto found = Find(image);
  if (!found) return std::string(found.error().name());
  return *found ? "found" : "none";
}

TEST(Verity, HasTheRootOfVeritysetup) {
  for (const size_t blocks : {1u, 2u, 127u, 128u, 129u, 300u, 128u * 128u + 1u}) {
    for (const char* salt : {"-s -", "-s 00ff10", ""}) {
      const Bytes data = Data(blocks);
      const Formatted made = Format(data, salt);
      const auto tree = Find(made.image);
      ASSERT_TRUE(tree && *tree) << blocks << " " << salt;
      EXPECT_EQ(HexEncode((*tree)->root_hash), made.root) << blocks << " " << salt;
      EXPECT_EQ((*tree)->data_size, data.size());
      EXPECT_EQ((*tree)->hash_offset, data.size());
      EXPECT_LE(*VerityEnd(**tree), made.image.size());
      if (blocks > 1000) break;
    }
  }
}

TEST(Verity, RefusesATreeThatIsNotOfTheData) {
  const Bytes data = Data(300);
  const Formatted made = Format(data, "-s 0102");
  ASSERT_EQ(RuleOf(made.image), "found");
  const auto with_flip = [&](size_t at) {
    Bytes image = made.image;
    image[at] ^= 1;
    return RuleOf(image);
  };
  EXPECT_EQ(with_flip(0), "release.verity-tree") << "data";
  EXPECT_EQ(with_flip(data.size() - 1), "release.verity-tree");
  const size_t tree = data.size() + kVerityBlockSize;
  for (size_t at = tree; at < tree + 4 * kVerityBlockSize; at += 997)
    EXPECT_EQ(with_flip(at), "release.verity-tree") << at;
  EXPECT_EQ(with_flip(data.size() + 88), "release.verity-tree") << "the salt";
  Bytes cut = made.image;
  cut.resize(tree + kVerityBlockSize);
  EXPECT_EQ(RuleOf(cut), "release.verity-tree");
}

TEST(Verity, IsNotLookedForInsideTheData) {
  const Formatted made = Format(Data(3), "-s -");
  Bytes outer = Data(5);
  outer.insert(outer.end(), made.image.begin(), made.image.end());
  EXPECT_EQ(RuleOf(outer), "none") << "a disk image inside a file system";
  EXPECT_EQ(RuleOf(Data(5)), "none");
  EXPECT_EQ(RuleOf({}), "none");
  EXPECT_EQ(RuleOf(Format(Data(3), "-s - --hash=sha512").image), "none") << "not one of ours";
}

class VerityReleaseTest : public RepositoryFixture {
 protected:
  // Rule of creating a release from `image` with this command line.
  std::string RuleOf(const Bytes& image, const std::string& cmdline) {
    const Bytes kernel = BuildPe({{".text", ToBytes("a kernel")}});
    Write(
        "/in/uki.efi",
        BuildPe({{".text", ToBytes("stub")}, {".linux", kernel}, {".cmdline", ToBytes(cmdline)}}));
    Write("/in/root.img", image);
    const auto made = CreateRelease(folder_, Inputs(std::to_string(++version_)), kNow + Days(90));
    if (made) release_ = *made;
    return made ? "ok" : std::string(made.error().name());
  }
  const Formatted made_ = Format(Data(200), "-s 0102");
  int version_ = 1;
  std::optional<Release> release_;
};

TEST_F(VerityReleaseTest, CarriesTheRootHashThatTheCommandLineNames) {
  ASSERT_EQ(RuleOf(made_.image, "quiet roothash=" + made_.root), "ok");
  ASSERT_TRUE(release_->verity);
  EXPECT_EQ(HexEncode(release_->verity->root_hash), made_.root);
  EXPECT_EQ(ParseRelease(AsBytes(WriteRelease(*release_)))->verity, release_->verity);
  EXPECT_EQ(RuleOf(made_.image, "usrhash=" + made_.root + " ro"), "ok");
  const std::string whole =
      HexEncode(release_->image.sha256) + ":" + std::to_string(release_->image.length);
  EXPECT_EQ(RuleOf(made_.image, "sallyport.image=" + whole), "ok");
  EXPECT_EQ(RuleOf(Data(3), "quiet"), "ok");
  EXPECT_FALSE(release_->verity);
}

TEST_F(VerityReleaseTest, ShowsTheRootHashToTheSigner) {
  ASSERT_EQ(RuleOf(made_.image, "roothash=" + made_.root), "ok");
  const std::string text = ReviewText(*ReviewStaged(folder_, "targets"));
  EXPECT_NE(text.find("root hash " + made_.root), std::string::npos) << text;
}

TEST_F(VerityReleaseTest, IsRefusedWhenTheCommandLineNamesSomethingElse) {
  std::string other = made_.root;
  other[0] = other[0] == '0' ? '1' : '0';
  EXPECT_EQ(RuleOf(made_.image, "quiet"), "release.verity-cmdline");
  EXPECT_EQ(RuleOf(made_.image, "roothash=" + other), "release.verity-cmdline");
  EXPECT_EQ(RuleOf(made_.image, "roothash=" + made_.root + " usrhash=" + other),
            "release.verity-cmdline");
  EXPECT_EQ(RuleOf(made_.image, "sallyport.image=" + made_.root + ":1"), "release.verity-cmdline");
  EXPECT_EQ(RuleOf(Data(3), "roothash=" + made_.root), "release.verity-cmdline")
      << "a kernel that looks for a tree that is not there";
}

}  // namespace
}  // namespace sallyport::ota
