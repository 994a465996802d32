#include "tests/conformance/suite.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "ota/metadata/limits.h"
#include "tests/fakes/tuf_repository.h"
#include "tests/node/child_process.h"

namespace sallyport::ota {
namespace {

namespace fs = std::filesystem;

// The public suite serves each case below a quoted test name, and its URLs end in a slash.
constexpr std::string_view kPrefix = "/case%5B1%2F2%5D/";
constexpr MetadataRules kPlainTuf = {.equal_version_is_identical = false};

}  // namespace

Suite::Suite() : now_(RealClock().Wall()), repo_(now_) {
  server_.Get(".*", [this](const httplib::Request& request, httplib::Response& response) {
    const std::string& target = request.target;
    const auto bytes =
        target.starts_with(kPrefix) ? repo_.Get(target.substr(kPrefix.size())) : std::nullopt;
    response.status = bytes ? 200 : 404;
    if (bytes) response.set_content(ToString(*bytes), "application/octet-stream");
  });
  server_.set_tcp_nodelay(true);
  const int port = server_.bind_to_any_port("127.0.0.1");
  url_ = "http://127.0.0.1:" + std::to_string(port) + std::string(kPrefix);
  thread_ = std::thread([this] { server_.listen_after_bind(); });
  std::string pattern = (fs::temp_directory_path() / "sallyport-tuf-XXXXXX").string();
  directory_ = mkdtemp(pattern.data());
  fs::create_directory(directory_ + "/metadata");
  fs::create_directory(directory_ + "/artifacts");
}

Suite::~Suite() {
  server_.stop();
  thread_.join();
  fs::remove_all(directory_);
}

int Suite::Run(std::vector<std::string> arguments) {
  const char* bin = std::getenv("SALLYPORT_BIN");
  if (bin == nullptr) return -1;
  arguments.insert(arguments.begin(),
                   {std::string(bin) + "/tuf-conformance-client", "--metadata-url",
                    url_ + "metadata/", "--metadata-dir", MetadataDirectory()});
  auto child = node::ChildProcess::Start(arguments, directory_ + "/log");
  return child ? child->Wait(Seconds(-1)).value_or(-1) : -1;
}

int Suite::InitWith(ByteView root) {
  const std::string path = directory_ + "/initial_root";
  EXPECT_TRUE(WriteFileAtomically(files_, path, root));
  return Run({"init", path});
}

int Suite::Init() { return InitWith(repo_.published.at("root").front()); }

int Suite::Refresh() { return Run({"refresh"}); }

int Suite::Download(const std::string& target) {
  return Run({"--target-name", target, "--target-dir", directory_ + "/artifacts",
              "--target-base-url", url_ + "targets/", "download"});
}

int Suite::RefreshAfter(Duration later) {
  MetadataClient client(files_, MetadataDirectory(), kPlainTuf);
  return client.Refresh(repo_, now_ + later) ? 0 : 1;
}

int Suite::DownloadAfter(Duration later, const std::string& target) {
  MetadataClient client(files_, MetadataDirectory(), kPlainTuf);
  auto trusted = client.Refresh(repo_, now_ + later);
  const auto found = trusted ? client.FindTarget(*trusted, repo_, target) : trusted.error();
  return found && client.Download(*trusted, repo_, target, found->file, 1 << 20) ? 0 : 1;
}

Bytes Suite::Stored(const std::string& role) {
  const auto bytes = ReadFile(files_, MetadataDirectory() + "/" + role + ".json", kTargetsSizeMax);
  return bytes ? *bytes : Bytes{};
}

int64_t Suite::Version(const std::string& role) {
  const auto tree = ParseJson(AsText(Stored(role)));
  return tree ? *tree->Find("signed")->Find("version")->if_integer() : 0;
}

std::string Suite::Trusted() {
  std::vector<std::string> roles;
  for (const auto& entry : fs::directory_iterator(MetadataDirectory()))
    if (entry.path().extension() == ".json") roles.push_back(entry.path().stem());
  std::ranges::sort(roles);
  std::string out;
  for (const std::string& role : roles)
    out += (out.empty() ? "" : ", ") + role + " " + std::to_string(Version(role));
  return out;
}

std::vector<std::string> Suite::Downloaded() const {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(directory_ + "/artifacts"))
    if (!entry.path().filename().string().starts_with('.')) paths.push_back(entry.path());
  std::ranges::sort(paths, {}, [](const fs::path& path) { return fs::last_write_time(path); });
  std::vector<std::string> out;
  for (const fs::path& path : paths) {
    PosixFileSystem files;
    out.push_back(ToString(ReadFile(files, path.string(), 1 << 20).value()));
  }
  return out;
}

JsonValue Suite::Parsed(const std::string& role) const {
  return ParseJson(AsText(Published(role))).value();
}

void Suite::SetMember(const std::string& role, const std::vector<std::string>& path,
                      JsonValue value) {
  repo_.published.at(role).back() =
      ToBytes(WriteJson(WithMember(Parsed(role), path, std::move(value))));
}

}  // namespace sallyport::ota
