// sallyport-virtual-node: makes and runs the virtual nodes of tests and of the demonstration.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "pki/base/json.h"
#include "tests/node/node_run.h"

namespace {

using namespace sallyport;
using namespace sallyport::node;

constexpr int kRefused = 1;

int Fail(const Error& error) {
  std::cerr << "sallyport-virtual-node: " << error.ToString() << "\n";
  return kRefused;
}

int MakeVendor(const std::string& dir, UnixTime now, Random& random) {
  PosixFileSystem files;
  const auto vendor = VendorCa::Make(now, random);
  if (!vendor) return Fail(vendor.error());
  const auto saved = vendor->Save(files, dir);
  return saved ? 0 : Fail(saved.error());
}

int Create(const std::string& dir, const NodeSpec& spec, UnixTime now, Random& random) {
  const auto keys = VirtualNode::Create(dir, spec, now, random);
  if (!keys) return Fail(keys.error());
  std::vector<JsonMember> hashes;
  for (const EndorsementKey& key : *keys)
    hashes.push_back({key.kind == EkKind::kP256 ? "p256" : "rsa2048", HexEncode(key.spki_sha256)});
  std::cout << WriteJson(JsonValue::Object(
                   {{"name", spec.name}, {"ek_spki_sha256", JsonValue::Object(hashes)}}))
            << "\n";
  return 0;
}

int Boot(const std::string& dir, const RunOptions& options, UnixTime now, Random& random) {
  BlockStopSignals();
  auto node = VirtualNode::Open(dir);
  return node ? RunNode(*node, options, now, random) : Fail(node.error());
}

std::string AgentBeside() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "sallyport-agent")
      .string();
}

}  // namespace

int main(int argc, char** argv) {
  ::setenv("TSS2_LOG", "all+none", 0);  // our own errors say what the TPM said
  CLI::App app("Virtual edge nodes for tests and the demonstration");
  app.require_subcommand(1);
  std::string dir;
  NodeSpec spec{};
  uint64_t slot_mib = 4;
  std::vector<std::string> banks{"sha256"};
  const std::map<std::string, PcrBankId> bank_ids{{"sha1", kSha1Bank},
                                                  {"sha256", kSha256Bank},
                                                  {"sha384", kSha384Bank},
                                                  {"sha512", kSha512Bank}};
  RunOptions options;
  options.agent = AgentBeside();
  int64_t cut_power_after_ms = 0;

  CLI::App* vendor = app.add_subcommand(
      "vendor", "make a TPM vendor: root.pem, intermediate.pem, intermediate.key");
  vendor->add_option("--dir", dir)->required();
  CLI::App* create =
      app.add_subcommand("create", "make a node with a new TPM and an image in slot A");
  create->add_option("--dir", dir)->required();
  create->add_option("--name", spec.name)->required();
  create->add_option("--vendor", spec.vendor_dir, "directory of `vendor`")->required();
  create->add_option("--uki", spec.uki, "made by make_uki.sh")->required();
  create->add_option("--image", spec.image, "the slot image that the UKI names")->required();
  create->add_option("--release", spec.release, "release.json of UKI and image");
  create->add_option("--slot-mib", slot_mib, "size of each slot, MiB")->check(CLI::Range(1, 4096));
  create->add_option("--watchdog-ms", spec.watchdog.ms, "reset of a hung kernel")
      ->default_val(5000);
  create->add_option("--banks", banks, "PCR banks that are on, with commas between")
      ->delimiter(',')
      ->check(CLI::IsMember(bank_ids));
  CLI::App* boot = app.add_subcommand(
      "boot", "power the node on; it runs until its agent ends or a signal stops it");
  boot->add_option("--dir", dir)->required();
  boot->add_option("--agent", options.agent, "the agent's program");
  boot->add_flag("--tamper", options.tamper,
                 "first flip one bit of the image that starts (again: flip it back)");
  boot->add_flag("--swap-tpm", options.swap_tpm, "first put in a new TPM of the same vendor");
  CLI::Option* cut =
      boot->add_option("--cut-power-after-ms", cut_power_after_ms, "kill agent and TPM, then end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const UnixTime now = RealClock().Wall();
  SystemRandom random;
  if (vendor->parsed()) return MakeVendor(dir, now, random);
  spec.slot_bytes = slot_mib << 20;
  spec.banks.clear();
  for (const std::string& bank : banks) spec.banks.push_back(bank_ids.at(bank));
  if (create->parsed()) return Create(dir, spec, now, random);
  if (cut->count() > 0) options.cut_power_after = Milliseconds(cut_power_after_ms);
  return Boot(dir, options, now, random);
}
