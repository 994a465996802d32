#include "attestation-server/cli/bundle_command.h"

#include "attestation-server/cli/release_command.h"
#include "ota/repository/bundle.h"
#include "ota/repository/review.h"

namespace sallyport::server {
namespace {

Result<CommandResult> Stage(FileSystem& files, const ReleaseBundleOptions& options, UnixTime now) {
  if (options.serial == 0)
    return Error{Reason::kInvalidArgument, "--release needs --serial, from 1 on", "bundle.serial"};
  SP_TRY(const Duration lifetime, ParseDuration(options.expires_in));
  ota::RepositoryFolder folder(files, options.repository);
  SP_TRY(ota::StageBundle(folder, {.role = options.role,
                                   .serial = options.serial,
                                   .made_at = now,
                                   .expires = now + lifetime,
                                   .release = "releases/" + options.release + "/release.json",
                                   .commit_locally = options.commit_locally}));
  SP_TRY(const ota::Review review, ota::ReviewStaged(folder, options.role));
  SP_TRY(const ota::SigningStatus status, ota::StatusOf(folder, options.role));
  return Done(options.json,
              ota::WithMembers(StatusJson(status), {{"review", ota::ReviewJson(review)}}),
              "staged\n" + ota::ReviewText(review) + StatusText(status));
}

Result<CommandResult> Pack(FileSystem& files, const ReleaseBundleOptions& options, UnixTime now) {
  const ota::RepositoryFolder folder(files, options.repository);
  SP_TRY(const auto draft, folder.Published("root"));
  SP_TRY(const ota::Root root, ota::DraftRoot(draft));
  SP_TRY(
      const ota::PackedBundle packed,
      ota::PackBundle(folder, options.role,
                      root.profile ? root.profile->trust_domain : std::string(), options.out, now));
  const std::string expires = FormatRfc3339(packed.statement.expires);
  return Done(options.json,
              JsonValue::Object({{"out", options.out},
                                 {"role", packed.statement.role},
                                 {"serial", packed.statement.serial},
                                 {"release", packed.statement.release},
                                 {"expires", expires},
                                 {"files", packed.files},
                                 {"bytes", packed.bytes}}),
              "bundle " + packed.statement.role + " serial " +
                  std::to_string(packed.statement.serial) + " in " + options.out + ": " +
                  std::to_string(packed.files) + " files, " + std::to_string(packed.bytes) +
                  " bytes, valid until " + expires + "\n");
}

}  // namespace

CommandResult ReleaseBundle(FileSystem& files, const ReleaseBundleOptions& options, UnixTime now) {
  return Run(options.json, [&]() -> Result<CommandResult> {
    if (options.release.empty() == options.out.empty())
      return Error{Reason::kInvalidArgument, "give --release to stage or --out to pack",
                   "bundle.usage"};
    return options.out.empty() ? Stage(files, options, now) : Pack(files, options, now);
  });
}

void AddBundleCommand(CLI::App& release, CommandSink& sink) {
  CLI::App* const bundle = release.add_subcommand(
      "bundle", "Stage the statement of a USB bundle, or pack the published one into a folder");
  bundle->footer(
      "Examples:\n  sallyport release bundle --repository repo --role usb --release edge-os/2.0.0 "
      "--serial 1 --expires-in 180d\n  sallyport release bundle --repository repo --role usb --out "
      "/media/stick/sallyport");
  const auto options = std::make_shared<ReleaseBundleOptions>();
  bundle->add_option("--repository", options->repository, "Repository folder")->required();
  bundle->add_option("--role", options->role, "The delegated role that signs bundles")->required();
  bundle->add_option("--release", options->release, "PRODUCT/VERSION of a published release");
  bundle->add_option("--serial", options->serial, "Serial of the bundle, above the one before");
  bundle->add_option("--expires-in", options->expires_in, "How long devices take the bundle");
  bundle->add_flag("--commit-locally", options->commit_locally,
                   "Devices may commit by their own health when no server judged the new boot");
  bundle->add_option("--out", options->out, "Folder to write");
  AddReleaseCommand(bundle, sink, options, &ReleaseBundle);
}

}  // namespace sallyport::server
