#include "attestation-server/cli/context.h"

#include <yaml-cpp/yaml.h>

#include <array>
#include <cstdlib>
#include <utility>

namespace sallyport::server {
namespace {

constexpr uint64_t kConfigBytesMax = 64 * 1024;  // a hand-written file

struct Field {
  const char* key;
  std::string Context::* member;
  bool path;
};
constexpr std::array<Field, 5> kFields{{{"server", &Context::server, false},
                                        {"server_id", &Context::server_id, false},
                                        {"trust_bundle", &Context::trust_bundle, true},
                                        {"certificate", &Context::certificate, true},
                                        {"private_key", &Context::private_key, true}}};

Error At(const std::string& file, const YAML::Mark& mark, std::string what) {
  return Error{Reason::kMalformed, file + ":" + std::to_string(mark.line + 1) + ":" +
                                       std::to_string(mark.column + 1) + ": " + std::move(what)};
}

std::string Resolve(const std::string& file, const std::string& path) {
  const size_t slash = file.rfind('/');
  return path.starts_with('/') || slash == std::string::npos ? path
                                                             : file.substr(0, slash + 1) + path;
}

Result<Context> ReadContext(const YAML::Node& node, const std::string& file) {
  Context context;
  if (!node.IsMap()) return At(file, node.Mark(), "the current context is not a map");
  for (const auto& entry : node) {
    const std::string key = entry.first.Scalar();
    const auto found =
        std::ranges::find_if(kFields, [&](const Field& field) { return key == field.key; });
    if (found == kFields.end()) return At(file, entry.first.Mark(), "unknown key '" + key + "'");
    if (!entry.second.IsScalar()) return At(file, entry.second.Mark(), "'" + key + "' is not text");
    if (!(context.*(found->member)).empty())
      return At(file, entry.first.Mark(), "duplicate key '" + key + "'");
    context.*(found->member) =
        found->path ? Resolve(file, entry.second.Scalar()) : entry.second.Scalar();
  }
  for (const Field& field : kFields)
    if ((context.*(field.member)).empty())
      return At(file, node.Mark(), std::string("'") + field.key + "' is missing");
  return context;
}

std::string EnvironmentOr(const char* name, std::string fallback) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : std::move(fallback);
}

}  // namespace

Result<Context> ParseContexts(std::string_view text, const std::string& file) {
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (!root.IsMap()) return At(file, root.Mark(), "not a map");
    for (const auto& entry : root) {
      const std::string key = entry.first.Scalar();
      if (key != "sallyport" && key != "current" && key != "contexts")
        return At(file, entry.first.Mark(), "unknown key '" + key + "'");
    }
    if (!root["sallyport"] || root["sallyport"].Scalar() != "contexts/v1")
      return At(file, root.Mark(), "'sallyport: contexts/v1' is missing");
    const YAML::Node chosen = root["contexts"][root["current"].Scalar()];
    if (!chosen) return At(file, root.Mark(), "'current' names no context");
    return ReadContext(chosen, file);
  } catch (const YAML::Exception& error) {
    return At(file, error.mark, error.msg);
  }
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
