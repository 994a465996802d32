#include "attestation-server/cli/admin_session.h"

#include <CLI/CLI.hpp>

#include "attestation-server/cli/render.h"
#include "pki/x509/certificate.h"
#include "pki/x509/pem.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kPemBytesMax = 64 * 1024;
constexpr Duration kApprovalLifetime = Hours(1);

}  // namespace

std::shared_ptr<CommonOptions> AddCommonOptions(CLI::App* command) {
  auto common = std::make_shared<CommonOptions>();
  command->add_flag("--json", common->json, "Print one JSON object");
  command->add_option("--server", common->choice.server, "HOST:PORT of the admin listener");
  command->add_option("--config", common->choice.config, "File with the operator's contexts");
  return common;
}

Result<AdminClient> OpenAdmin(const CommonOptions& common) {
  PosixFileSystem files;
  SP_TRY(const Context context, LoadContext(files, common.choice));
  return AdminClient::Connect(files, context);
}

CommandResult ShowJson(const Result<std::string>& json, const CommonOptions& common) {
  if (!json) return Failure(json.error(), common.json);
  return CommandResult{ExitCode::kYes, common.json ? *json + "\n" : RenderJson(*json), ""};
}

Result<SignedApproval> ApproveWithContext(const CommonOptions& common, std::string_view action,
                                          const Sha256Digest& digest) {
  PosixFileSystem files;
  SP_TRY(const Context context, LoadContext(files, common.choice));
  SP_TRY(const Bytes pem, ReadFile(files, context.private_key, kPemBytesMax));
  SP_TRY(const Bytes chain, ReadFile(files, context.certificate, kPemBytesMax));
  SP_TRY(const pki::PrivateKey key, pki::PrivateKey::FromPem(AsText(pem), ""));
  SP_TRY(const std::vector<Bytes> leaf, pki::ParseCertificatePem(AsText(chain)));
  SP_TRY(const pki::IdentityCertificate certificate, pki::ParseIdentityCertificate(leaf.front()));
  return MakeApproval(key, certificate.spiffe_id.text(), action, digest,
                      RealClock().Wall() + kApprovalLifetime);
}

}  // namespace sallyport::server
