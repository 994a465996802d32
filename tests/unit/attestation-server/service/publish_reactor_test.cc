// Uploads into the repository, chunk by chunk, over an in-process channel.
#include "attestation-server/service/publish_reactor.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "attestation-server/api/v1/admin.grpc.pb.h"
#include "tests/fakes/fake_clock.h"
#include "tests/unit/attestation-server/operations/operations_fixture.h"
#include "tests/unit/ota/repository/repository_fixture.h"

namespace sallyport::server {
namespace {

constexpr UnixTime kNow = UnixTime::FromSeconds(1'790'000'000);

struct FoundedRepository final : ota::RepositoryFixture {
  void TestBody() override {}
  using RepositoryFixture::files_;
  using RepositoryFixture::options_;
};

class Service final : public api::Admin::CallbackService {
 public:
  Service(const Operator& caller, PublishParts parts) : caller_(caller), parts_(parts) {}
  grpc::ServerReadReactor<api::PublishChunk>* PublishFiles(grpc::CallbackServerContext*,
                                                           api::JsonReply* reply) override {
    return MakePublishReactor(
        allowed ? Result<Operator>(caller_)
                : Result<Operator>(Error{Reason::kPolicyDenied, "viewer", "role"}),
        parts_, reply);
  }
  bool allowed = true;

 private:
  const Operator caller_;
  PublishParts parts_;
};

class PublishReactorTest : public OperationsTest {
 protected:
  PublishReactorTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = api::Admin::NewStub(server_->InProcessChannel({}));
  }
  ~PublishReactorTest() override { server_->Shutdown(std::chrono::system_clock::now()); }

  static api::PublishChunk Chunk(const std::string& path, const std::string& data, bool last) {
    api::PublishChunk chunk;
    chunk.set_path(path);
    chunk.set_data(data);
    chunk.set_last(last);
    return chunk;
  }
  grpc::Status Send(const std::vector<api::PublishChunk>& chunks) {
    grpc::ClientContext context;
    api::JsonReply reply;
    const auto writer = stub_->PublishFiles(&context, &reply);
    for (const api::PublishChunk& chunk : chunks)
      if (!writer->Write(chunk)) break;
    writer->WritesDone();
    return writer->Finish();
  }
  bool Exists(const std::string& path) {
    return repository_.files_.Open(path, OpenMode::kRead).has_value();
  }
  static std::string TargetName(std::string_view content) {
    return "targets/x/" + HexEncode(pki::Sha256(AsBytes(content))) + ".img";
  }
  // Names the rule, which the service puts into the message.
  static bool Says(const grpc::Status& status, std::string_view rule) {
    return !status.ok() && status.error_message().find(rule) != std::string::npos;
  }

  FoundedRepository repository_;
  FakeClock clock_{kNow};
  policy::ZoneLookup zones_ = [](std::string_view name) { return policy::ZoneRule::Parse(name); };
  const pki::PrivateKey key_ = pki::PrivateKey::Generate(pki::KeyType::kEd25519).value();
  PublicationOperations publication_{
      Parts(),
      {repository_.files_,
       "/repo",
       "edge.example",
       ota::LoadOnlineKeys(repository_.files_, "/keys", repository_.options_.online_passphrase)
           .value(),
       {key_.public_key(), key_.public_key(), key_.public_key(), [](const Bytes&) {}}},
      zones_,
      [] {}};
  WorkPool pool_{1};
  Service service_{alice_.who, {publication_, repository_.files_, pool_, clock_}};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<api::Admin::Stub> stub_;
};

TEST_F(PublishReactorTest, TargetInChunksLandsUnderItsDigest) {
  const std::string name = TargetName("abc");
  const grpc::Status status = Send({Chunk(name, "a", false), Chunk("", "bc", true)});

  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(AsText(ReadFile(repository_.files_, "/repo/" + name, 10).value()), "abc");
}

TEST_F(PublishReactorTest, OtherBytesThanTheNameSaysAreRefused) {
  const std::string name = TargetName("abc");
  EXPECT_TRUE(Says(Send({Chunk(name, "abd", true)}), "publish.digest"));
  EXPECT_FALSE(Exists("/repo/" + name));
}

TEST_F(PublishReactorTest, DataBeforeAPathIsRefused) {
  EXPECT_TRUE(Says(Send({Chunk("", "abc", true)}), "publish.order"));
}

TEST_F(PublishReactorTest, UploadThatWasNotCompletedPublishesNothing) {
  const std::string name = TargetName("abc");
  EXPECT_TRUE(Says(Send({Chunk(name, "a", false)}), "publish.order"));
  EXPECT_FALSE(Exists("/repo/" + name));
}

TEST_F(PublishReactorTest, PathOutsideTheRepositoryIsRefused) {
  EXPECT_TRUE(Says(Send({Chunk("targets/../../etc/passwd", "x", true)}), "publish.path"));
  EXPECT_TRUE(Says(Send({Chunk("metadata/1.root.json", "x", true)}), "publish.path"));
}

TEST_F(PublishReactorTest, CallerWithoutTheRoleUploadsNothing) {
  service_.allowed = false;
  const std::string name = TargetName("abc");
  EXPECT_EQ(Send({Chunk(name, "abc", true)}).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_FALSE(Exists("/repo/" + name + ".part"));
}

}  // namespace
}  // namespace sallyport::server
