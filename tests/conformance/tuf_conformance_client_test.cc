// The conformance client as a program, over HTTP, against the static repository of the public
// suite.
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace sallyport::ota {
namespace {

const std::string kRepository = SALLYPORT_SOURCE_DIR "/tests/vectors/tuf/tuf-on-ci-0.11";

class ConformanceClient : public testing::Test {
 protected:
  ConformanceClient() {
    server_.set_mount_point("/", kRepository);
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    std::string pattern =
        (std::filesystem::temp_directory_path() / "sallyport-tuf-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~ConformanceClient() override {
    server_.stop();
    thread_.join();
    std::filesystem::remove_all(directory_);
  }
  // Run returns the exit code of the client with the global options and `arguments`.
  int Run(const std::string& arguments, const std::string& metadata = "/server") {
    const char* bin = std::getenv("SALLYPORT_BIN");
    if (bin == nullptr) return -1;
    const std::string url = "http://127.0.0.1:" + std::to_string(port_);
    const std::string command = std::string(bin) + "/tuf-conformance-client --metadata-dir " +
                                directory_ + "/m" + " --metadata-url " + url + metadata +
                                " --target-base-url " + url + "/targets" + " --target-dir " +
                                directory_ + "/t " + arguments + " 2>/dev/null";
    return WEXITSTATUS(std::system(command.c_str()));
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::string directory_;
};

TEST_F(ConformanceClient, InitialisesRefreshesAndDownloads) {
  EXPECT_EQ(Run("init " + kRepository + "/client/root.json"), 0);
  EXPECT_EQ(Run("refresh"), 0);
  EXPECT_EQ(Run("--target-name delegatedrole/artifact download"), 0);
  EXPECT_EQ(std::filesystem::file_size(directory_ + "/t/delegatedrole%2Fartifact"), 34U);
}

TEST_F(ConformanceClient, FailsWithOneOnEverythingElse) {
  EXPECT_EQ(Run("refresh"), 1);
  EXPECT_EQ(Run("init " + kRepository + "/server/timestamp.json"), 1);
  ASSERT_EQ(Run("init " + kRepository + "/client/root.json"), 0);
  EXPECT_EQ(Run("--target-name unknown download"), 1);
}

// HostileHttp answers timestamps without end.
class HostileHttp : public ConformanceClient {
 protected:
  HostileHttp() {
    server_.Get("/endless/timestamp.json", [this](const auto&, httplib::Response& response) {
      response.set_chunked_content_provider("application/json",
                                            [this](size_t, httplib::DataSink& sink) {
                                              sent_ += kChunk.size();
                                              return sink.write(kChunk.data(), kChunk.size());
                                            });
    });
  }
  const std::string kChunk = std::string(4096, ' ');
  std::atomic<size_t> sent_ = 0;
};

TEST_F(HostileHttp, AnEndlessAnswerIsCutOffAtItsLimit) {
  ASSERT_EQ(Run("init " + kRepository + "/client/root.json"), 0);
  EXPECT_EQ(Run("refresh", "/endless"), 1);
  EXPECT_LT(sent_, size_t{64} << 20);  // what the buffers of the kernel hold, and not much more
}

}  // namespace
}  // namespace sallyport::ota
