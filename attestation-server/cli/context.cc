#include "attestation-server/cli/context.h"

#include <cstdlib>
#include <map>
#include <utility>

#include "policies/language/config_reader.h"

namespace sallyport::server {
namespace {

using policy::Code;
using policy::ConfigKey;
using policy::ConfigText;
using policy::Diagnostics;
using policy::YamlEntry;
using policy::YamlNode;

constexpr uint64_t kConfigBytesMax = 64 * 1024;  // a hand-written file

struct Contexts {
  std::string current;
  std::map<std::string, Context> by_name;
};

const std::vector<ConfigKey<Context>>& ContextKeys() {
  static const std::vector<ConfigKey<Context>> keys{
      {"server", "host:port of the admin listener", ConfigText(&Context::server), true},
      {"server_id", "SPIFFE id the server must present", ConfigText(&Context::server_id), true},
      {"trust_bundle", "file", ConfigText(&Context::trust_bundle), true},
      {"certificate", "file, PEM", ConfigText(&Context::certificate), true},
      {"private_key", "file, PEM", ConfigText(&Context::private_key), true}};
  return keys;
}

const std::vector<ConfigKey<Contexts>>& Keys() {
  static const auto version = [](Contexts&, const YamlNode& node, Diagnostics& findings) {
    std::string word;
    policy::ReadConfigWord(word, node, {"contexts/v1"}, findings);
  };
  static const auto contexts = [](Contexts& out, const YamlNode& node, Diagnostics& findings) {
    if (node.kind != YamlNode::Kind::kMap)
      return findings.Add(Code::kType, node.at, "expected a map of contexts");
    for (const YamlEntry& entry : node.entries)
      ReadConfigMap(out.by_name[entry.key], entry.value, ContextKeys(), findings);
  };
  static const auto current = [](Contexts& out, const YamlNode& node, Diagnostics& findings) {
    if (policy::IsConfigText(node, findings)) out.current = node.text;
  };
  static const std::vector<ConfigKey<Contexts>> keys{
      {"sallyport", "contexts/v1", version, true},
      {"current", "name of the context in use", current, true},
      {"contexts", "contexts by name", contexts, true}};
  return keys;
}

void Resolve(const std::string& file, std::string& path) {
  const size_t slash = file.rfind('/');
  if (!path.starts_with('/') && slash != std::string::npos) path = file.substr(0, slash + 1) + path;
}

std::string EnvironmentOr(const char* name, std::string fallback) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : std::move(fallback);
}

}  // namespace

Result<Context> ParseContexts(std::string_view text, const std::string& file) {
  Diagnostics findings(file);
  Contexts read;
  const std::optional<YamlNode> root = policy::ReadYaml(text, findings);
  if (root) ReadConfigMap(read, *root, Keys(), findings);
  const auto chosen = read.by_name.find(read.current);
  if (root && !findings.has_errors() && chosen == read.by_name.end())
    findings.Add(Code::kRef, root->at, "no context '" + read.current + "'");
  if (findings.has_errors()) return policy::ConfigError(findings);
  for (std::string* const path :
       {&chosen->second.trust_bundle, &chosen->second.certificate, &chosen->second.private_key})
    Resolve(file, *path);
  return chosen->second;
}

Result<Context> LoadContext(FileSystem& files, const ServerChoice& choice) {
  std::string path = choice.config.empty() ? EnvironmentOr("SALLYPORT_CONFIG", "") : choice.config;
  if (path.empty()) path = EnvironmentOr("HOME", "/root") + "/.config/sallyport/config.yaml";
  Result<Bytes> text = ReadFile(files, path, kConfigBytesMax);
  if (!text)
    return Error{Reason::kNotFound,
                 "no operator context (" + text.error().detail +
                     "); `sallyport init` makes one, --config or SALLYPORT_CONFIG names another"};
  SP_TRY(Context context, ParseContexts(AsText(*text), path));
  const std::string server =
      choice.server.empty() ? EnvironmentOr("SALLYPORT_SERVER", "") : choice.server;
  if (!server.empty()) context.server = server;
  return context;
}

}  // namespace sallyport::server
