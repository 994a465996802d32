// The client of the public tuf-conformance suite: a command line and HTTP around the shipped
// MetadataClient.
#include <curl/curl.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "ota/metadata/client.h"
#include "ota/metadata/limits.h"

namespace {

using namespace sallyport;       // NOLINT(google-build-using-namespace): a program, not a header
using namespace sallyport::ota;  // NOLINT(google-build-using-namespace)

constexpr uint64_t kTargetSizeMax = 256 << 20;  // the suite's largest file is far smaller
constexpr long kTimeoutSeconds = 60;

// EncodePath percent-encodes a target path for a URL; '/' stays.
std::string EncodePath(std::string_view path) {
  std::string out;
  while (true) {
    const size_t slash = path.find('/');
    out += RoleFileName(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    out += '/';
    path.remove_prefix(slash + 1);
  }
}

// AsFolder ends a URL with exactly one slash: the suite's URLs have one, and `//` is another path.
std::string AsFolder(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url + "/";
}

// ArtifactName names a downloaded file: no separator, and no leading dot that would hide it.
std::string ArtifactName(std::string_view target) {
  const std::string name = RoleFileName(target);
  return name.starts_with('.') ? "%2E" + name.substr(1) : name;
}

class HttpFetcher final : public Fetcher {
 public:
  HttpFetcher(std::string metadata_url, std::string target_url)
      : metadata_url_(AsFolder(std::move(metadata_url))),
        target_url_(AsFolder(std::move(target_url))),
        curl_(curl_easy_init()) {}
  Result<Bytes> FetchMetadata(const std::string& file, uint64_t size_max) override {
    return Get(metadata_url_ + file, size_max);
  }
  Result<Bytes> FetchTarget(const std::string& path, uint64_t size_max) override {
    return Get(target_url_ + EncodePath(path), size_max);
  }

 private:
  struct Body {
    Bytes bytes;
    uint64_t size_max;
  };
  struct Cleanup {
    void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  };
  static size_t Receive(char* data, size_t, size_t size, void* user) {
    auto& body = *static_cast<Body*>(user);
    if (size > body.size_max - body.bytes.size()) return 0;
    Append(body.bytes, {reinterpret_cast<const uint8_t*>(data), size});
    return size;
  }

  Result<Bytes> Get(const std::string& url, uint64_t size_max) {
    Body body{{}, size_max};
    CURL* const curl = curl_.get();
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, kTimeoutSeconds);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &HttpFetcher::Receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    const CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_WRITE_ERROR) return Error{Reason::kTooLarge, url, "fetch.size"};
    if (code != CURLE_OK) return Error{Reason::kUnavailable, url + ": " + curl_easy_strerror(code)};
    if (status == 403 || status == 404) return Error{Reason::kNotFound, url};
    if (status != 200)
      return Error{Reason::kUnavailable, url + ": status " + std::to_string(status)};
    return std::move(body.bytes);
  }

  std::string metadata_url_;
  std::string target_url_;
  std::unique_ptr<CURL, Cleanup> curl_;
};

struct Options {
  std::string metadata_dir, metadata_url, target_base_url, target_dir, root;
  std::vector<std::string> target_names;
};

Result<Unit> Init(FileSystem& files, MetadataClient& client, const Options& options) {
  SP_TRY(const Bytes root, ReadFile(files, options.root, kRootSizeMax));
  const auto done = client.Initialise(root);
  // What is trusted already stays.
  if (!done && done.error().reason == Reason::kAlreadyExists) return Ok();
  return done;
}

Result<Unit> Refresh(MetadataClient& client, const Options& options, UnixTime now) {
  HttpFetcher fetcher(options.metadata_url, options.target_base_url);
  SP_TRY(client.Refresh(fetcher, now));
  return Ok();
}

Result<Unit> Download(FileSystem& files, MetadataClient& client, const Options& options,
                      UnixTime now) {
  HttpFetcher fetcher(options.metadata_url, options.target_base_url);
  SP_TRY(TrustedMetadata trusted, client.Refresh(fetcher, now));
  SP_TRY(files.MakeDirectories(options.target_dir));
  for (const std::string& name : options.target_names) {
    SP_TRY(const auto target, client.FindTarget(trusted, fetcher, name));
    const std::string path = options.target_dir + "/" + ArtifactName(name);
    const auto held = ReadFile(files, path, kTargetSizeMax);
    if (held && target.file.Check(*held, name)) continue;  // nothing to fetch again
    SP_TRY(const Bytes bytes, client.Download(trusted, fetcher, name, target.file, kTargetSizeMax));
    SP_TRY(WriteFileAtomically(files, path, bytes));
  }
  return Ok();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"tuf-conformance client"};
  app.fallthrough();
  app.add_option("--metadata-dir", options.metadata_dir)->required();
  app.add_option("--metadata-url", options.metadata_url);
  app.add_option("--target-name", options.target_names)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--target-base-url", options.target_base_url);
  app.add_option("--target-dir", options.target_dir);
  CLI::App* const init = app.add_subcommand("init");
  init->add_option("root", options.root)->required();
  CLI::App* const refresh = app.add_subcommand("refresh");
  app.add_subcommand("download");
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);

  PosixFileSystem files;
  // Plain TUF: a second document of one version is ignored, not refused (TUF 5.4.3).
  MetadataClient client(files, options.metadata_dir, {.equal_version_is_identical = false});
  const UnixTime now = RealClock().Wall();
  const Result<Unit> done = init->parsed()      ? Init(files, client, options)
                            : refresh->parsed() ? Refresh(client, options, now)
                                                : Download(files, client, options, now);
  if (!done) std::fprintf(stderr, "%s\n", done.error().ToString().c_str());
  return done ? 0 : 1;
}
