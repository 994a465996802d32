#include "attestation-server/cli/publish_commands.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "attestation-server/cli/admin_session.h"
#include "attestation-server/cli/content_key_file.h"
#include "attestation-server/cli/progress.h"
#include "attestation-server/cli/release_commands.h"
#include "attestation-server/service/status.h"
#include "ota/repository/keys.h"
#include "ota/repository/policy_release.h"
#include "pki/base/json.h"
#include "policies/decision/canonical.h"

namespace sallyport::server {
namespace {

constexpr size_t kChunkBytes = 1024 * 1024;  // well below the listener's message limit
constexpr uint64_t kPolicyBytesMax = 16 * 1024 * 1024;
constexpr std::chrono::minutes kUploadDeadline{60};
constexpr JsonLimits kReplyLimits{.size_max = 32 << 20, .depth_max = 8};

struct Upload {
  std::string path;  // below the repository
  uint64_t size;
};

// Uploads lists staged drafts and every target file, drafts last: what they name is there before
// them.
Result<std::vector<Upload>> Uploads(const std::string& repository) {
  std::vector<Upload> out;
  std::error_code error;
  for (const char* const folder : {"targets", "staged"}) {
    for (std::filesystem::recursive_directory_iterator it(repository + "/" + folder, error), end;
         !error && it != end; it.increment(error)) {
      if (!it->is_regular_file()) continue;
      const std::string path = std::filesystem::relative(it->path(), repository).string();
      if (std::string_view(folder) == "staged" && !path.ends_with(".json")) continue;
      out.push_back({path, it->file_size()});
    }
  }
  if (out.empty())
    return Error{Reason::kNotFound, repository + " has nothing to publish", "publish.empty"};
  return out;
}

Result<Unit> SendFile(FileSystem& files, const std::string& repository, const Upload& upload,
                      grpc::ClientWriter<api::PublishChunk>& writer) {
  SP_TRY(const std::unique_ptr<File> file,
         files.Open(repository + "/" + upload.path, OpenMode::kRead));
  std::string buffer;
  uint64_t offset = 0;
  do {
    buffer.resize(static_cast<size_t>(std::min<uint64_t>(kChunkBytes, upload.size - offset)));
    SP_TRY(const size_t read,
           file->ReadAt(offset, {reinterpret_cast<uint8_t*>(buffer.data()), buffer.size()}));
    if (read != buffer.size())
      return Error{Reason::kUnavailable, upload.path + " changed while it was read"};
    api::PublishChunk chunk;
    if (offset == 0) chunk.set_path(upload.path);
    offset += read;
    chunk.set_data(buffer);
    chunk.set_last(offset == upload.size);
    if (!writer.Write(chunk)) return Error{Reason::kUnavailable, "the service ended the upload"};
  } while (offset < upload.size);
  return Unit{};
}

// TakeMetadata writes what the service published into the operator's own copy, so that the next
// release builds on it.
Result<Unit> TakeMetadata(FileSystem& files, const std::string& repository,
                          const JsonCursor& reply) {
  SP_TRY(const JsonCursor metadata, reply.Member("metadata"));
  SP_TRY(const auto entries, metadata.Entries());
  for (const auto& [name, value] : entries) {
    SP_TRY(const std::string_view encoded, value.String());
    SP_TRY(const Bytes bytes, Base64Decode(encoded));
    if (name.find('/') != std::string_view::npos) return value.Refuse("not a file name");
    SP_TRY(WriteFileAtomically(files, repository + "/metadata/" + std::string(name), bytes));
  }
  std::error_code error;
  for (std::filesystem::directory_iterator it(repository + "/staged", error), end;
       !error && it != end; it.increment(error))
    if (it->path().extension() == ".json") SP_TRY(files.Remove(it->path().string()));
  return Unit{};
}

Result<std::string> UploadAndPublish(const CommonOptions& common, const std::string& repository) {
  PosixFileSystem files;
  SP_TRY(AdminClient client, OpenAdmin(common));
  SP_TRY(const std::vector<Upload> uploads, Uploads(repository));
  uint64_t total = 1;
  for (const Upload& upload : uploads) total += upload.size;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kUploadDeadline);
  api::JsonReply reply;
  const std::unique_ptr<grpc::ClientWriter<api::PublishChunk>> writer =
      client.stub().PublishFiles(&context, &reply);
  ProgressLine progress("publish");
  uint64_t sent = 0;
  Result<Unit> sending = Ok();
  for (const Upload& upload : uploads) {
    sending = SendFile(files, repository, upload, *writer);
    if (!sending) break;
    sent += upload.size;
    progress.Update(static_cast<unsigned>(sent * 100 / total), upload.path);
  }
  progress.Finish();
  if (sending)
    writer->WritesDone();
  else
    context.TryCancel();
  const grpc::Status status = writer->Finish();
  if (!status.ok() && status.error_code() != grpc::StatusCode::CANCELLED) return FromStatus(status);
  SP_TRY(sending);
  SP_TRY(const JsonValue json, ParseJson(reply.json(), kReplyLimits));
  SP_TRY(TakeMetadata(files, repository, JsonCursor(json)));
  SP_TRY(const std::vector<std::string> published, JsonCursor(json).GetStrings("published"));
  return WriteJson(JsonValue::Object({{"published", JsonValue::Strings(published)}}));
}

// GiveContentKey hands the key of a sealed release to the service; it is in none of the answers.
Result<std::string> GiveContentKey(const CommonOptions& common, const pki::ContentKey& key) {
  SP_TRY(AdminClient client, OpenAdmin(common));
  api::AddContentKeyRequest request;
  request.set_key(ToString(key.view()));
  auto answer = AskJson(client, &api::Admin::Stub::AddContentKey, request);
  std::string& sent = *request.mutable_key();
  pki::WipeBytes({reinterpret_cast<uint8_t*>(sent.data()), sent.size()});
  return answer;
}

Result<std::string> PublishWithKey(const CommonOptions& common,
                                   const ReleasePublishOptions& options) {
  PosixFileSystem files;
  if (options.content_key.empty()) return UploadAndPublish(common, options.repository);
  // Read before anything is published: a wrong name would leave a release that nobody can open.
  SP_TRY(const pki::ContentKey key, ReadContentKey(files, options.content_key));
  SP_TRY(const std::string published, UploadAndPublish(common, options.repository));
  SP_TRY(const std::string given, GiveContentKey(common, key));
  SP_TRY(const JsonValue answer, ParseJson(published));
  SP_TRY(JsonValue key_json, ParseJson(given));
  return WriteJson(ota::WithMembers(answer, {{"content_key", std::move(key_json)}}));
}

// PublishDirectorRoot sends the staged root of the director, and makes it final in the operator's
// own copy once the service has taken it.
CommandResult PublishDirectorRoot(FileSystem& files, const CommonOptions& common,
                                  const ReleasePublishOptions& options) {
  auto folder = ota::RepositoryFolder::Director(files, options.repository);
  const auto draft = folder.Staged("root");
  if (!draft) return Failure(ExitCode::kUsage, draft.error(), common.json);
  api::DirectorRootRequest request;
  request.set_root(ToString(draft->bytes));
  CommandResult taken = Ask(common, &api::Admin::Stub::PublishDirectorRoot, request);
  if (taken.code != ExitCode::kYes) return taken;
  return ReleasePublish(files, options, RealClock().Wall());
}

void AddReleasePublish(CLI::App& release, CommandSink& sink) {
  CLI::App* const command = release.add_subcommand(
      "publish", "Publish what is fully signed, through the service or locally");
  command->footer(
      "Examples:\n  sallyport release publish --repository repo\n  sallyport release publish "
      "--repository repo --director\n  sallyport release publish --repository repo --keys keys");
  const auto options = std::make_shared<ReleasePublishOptions>();
  const auto common = AddCommonOptions(command);
  command->add_option("--repository", options->repository, "Repository folder")->required();
  command->add_option(
      "--keys", options->keys,
      "Publish here with these keys (folder with online/image-*.pem), without a service");
  command->add_option("--online-passphrase-file", options->online_passphrase_file,
                      "Passphrase of the online keys");
  command->add_option("--content-key", options->content_key,
                      "Give the service the key of a sealed release (release create --encrypt)");
  command->add_flag("--director", options->director,
                    "Publish the staged root of the director instead");
  const auto local = std::make_shared<bool>(false);
  command->add_flag("--local", *local,
                    "With --director: here alone, without a service (it reads roots at its start)");
  command->callback([&sink, options, common, local] {
    sink.Run([options, common, local] {
      options->json = common->json;
      PosixFileSystem files;
      if (!options->content_key.empty() && (options->director || !options->keys.empty()))
        return Failure(ExitCode::kUsage,
                       Error{Reason::kInvalidArgument,
                             "--content-key gives the key to the service, which is not asked here",
                             "release.content-key"},
                       common->json);
      if (options->director && !*local && options->keys.empty())
        return PublishDirectorRoot(files, *common, *options);
      if (!options->keys.empty() || options->director)
        return ReleasePublish(files, *options, RealClock().Wall());
      return ShowJson(PublishWithKey(*common, *options), *common);
    });
  });
}

struct PolicySignOptions {
  std::string manifest, repository, key;
  PassphraseSource passphrase;
  bool json = false;
};

Result<std::string> SignPolicyFile(const PolicySignOptions& options) {
  PosixFileSystem files;
  SP_TRY(const Bytes manifest, ReadFile(files, options.manifest, kPolicyBytesMax));
  SP_TRY(const policy::PolicyManifest parsed, policy::ParsePolicyManifest(AsText(manifest)));
  SP_TRY(const std::string passphrase, ReadPassphrase(files, options.passphrase));
  SP_TRY(const ota::Signer signer, ota::LoadSigner(files, options.key, passphrase));
  ota::RepositoryFolder folder(files, options.repository);
  SP_TRY(const ota::SigningStatus status,
         ota::SignPolicy(folder, manifest, parsed.expires, signer));
  return WriteJson(JsonValue::Object({{"policy", parsed.name},
                                      {"version", parsed.version},
                                      {"signatures", status.signatures},
                                      {"threshold", status.threshold},
                                      {"ready", status.ready}}));
}

void AddPolicySign(CLI::App& policy, CommandSink& sink) {
  CLI::App* const command =
      policy.add_subcommand("sign", "Sign a policy manifest with one key of the policy role");
  command->footer(
      "Example:\n  sallyport policy sign policy.json --repository repo --key policy-1.pem");
  const auto options = std::make_shared<PolicySignOptions>();
  command->add_option("manifest", options->manifest, "File made by `policy manifest`")->required();
  command->add_option("--repository", options->repository, "Repository folder")->required();
  command->add_option("--key", options->key, "Private key file or pkcs11: URI")->required();
  AddPassphraseOptions(command, options->passphrase,
                       "the passphrase of the key, or the token's PIN");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([&sink, options] {
    sink.Run([options] { return ShowJson(SignPolicyFile(*options), {options->json, {}}); });
  });
}

void AddPolicyApply(CLI::App& policy, CommandSink& sink) {
  CLI::App* const command = policy.add_subcommand("apply", "Put the published policy in force");
  command->footer("Example:\n  sallyport policy apply policy.yaml");
  const auto common = AddCommonOptions(command);
  const auto file = std::make_shared<std::string>();
  command->add_option("file", *file, "The policy file that was signed")->required();
  command->callback([&sink, common, file] {
    sink.Run([common, file] {
      PosixFileSystem files;
      const Result<Bytes> source = ReadFile(files, *file, kPolicyBytesMax);
      if (!source) return Failure(ExitCode::kUsage, source.error(), common->json);
      api::ApplyPolicyRequest request;
      request.set_source(ToString(*source));
      return Ask(*common, &api::Admin::Stub::ApplyPolicy, request);
    });
  });
}

}  // namespace

void AddPublishCommands(CLI::App& app, CommandSink& sink) {
  AddReleasePublish(*app.get_subcommand("release"), sink);
  AddPolicySign(*app.get_subcommand("policy"), sink);
  AddPolicyApply(*app.get_subcommand("policy"), sink);
}

}  // namespace sallyport::server
