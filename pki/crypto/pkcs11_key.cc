// OpenSSL 3.0 reaches PKCS#11 through its engine interface, deprecated there and without a
// successor in Debian 12.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "pki/crypto/pkcs11_key.h"

#include <openssl/engine.h>
#include <openssl/err.h>

#include <charconv>

#include "pki/crypto/openssl_ptr.h"

namespace sallyport::pki {
namespace {

constexpr std::string_view kScheme = "pkcs11:";
constexpr std::string_view kModulePath = "module-path=";

Error BadUri(std::string why) {
  return Error{Reason::kInvalidArgument, "pkcs11 URI: " + std::move(why), "key.pkcs11-uri"};
}

struct Uri {
  std::string object;  // what the engine is asked for
  std::string module;  // empty: p11-kit's proxy
};

Result<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    uint8_t byte = 0;
    const char* const hex = text.data() + at + 1;
    if (at + 2 >= text.size() || std::from_chars(hex, hex + 2, byte, 16).ptr != hex + 2 ||
        byte == 0)
      return BadUri("percent encoding");
    out += static_cast<char>(byte);
    at += 2;
  }
  return out;
}

Result<Uri> ParseUri(std::string_view text) {
  if (!IsPkcs11Uri(text)) return BadUri("does not begin with pkcs11:");
  if (text.find("pin-value") != std::string_view::npos ||
      text.find("pin-source") != std::string_view::npos)
    return BadUri("the PIN does not belong on a command line; use --passphrase-file or the prompt");
  const size_t question = std::min(text.find('?'), text.size());
  Uri out{std::string(text.substr(0, question)), {}};
  std::string_view query = text.substr(std::min(question + 1, text.size()));
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view attribute = query.substr(0, end);
    if (!attribute.starts_with(kModulePath))
      return BadUri("unknown attribute " + std::string(attribute));
    SP_TRY(out.module, PercentDecode(attribute.substr(kModulePath.size())));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return out;
}

Error EngineError(std::string_view step) {
  return Error{Reason::kUnsupported,
               "the OpenSSL engine pkcs11 (package libengine-pkcs11-openssl) " + std::string(step) +
                   ": " + DrainOpenSslErrors(),
               "key.pkcs11-engine"};
}

// TheEngine loads the engine once; it lives as long as the process, like the keys that need it.
Result<ENGINE*> TheEngine(const std::string& module) {
  static ENGINE* engine = nullptr;
  static std::string loaded;
  if (engine != nullptr) {
    if (module != loaded) return BadUri("one module per run, and " + loaded + " is loaded");
    return engine;
  }
  ERR_clear_error();
  ENGINE_load_builtin_engines();
  Owned<ENGINE, ENGINE_free> found{ENGINE_by_id("pkcs11")};
  if (!found) return EngineError("is not installed");
  if (!module.empty() && ENGINE_ctrl_cmd_string(found.get(), "MODULE_PATH", module.c_str(), 0) != 1)
    return EngineError("takes no module " + module);
  if (ENGINE_init(found.get()) != 1) return EngineError("does not start with module " + module);
  engine = found.release();
  loaded = module;
  return engine;
}

Result<EvpPkey> LoadKey(ENGINE* engine, const std::string& object, std::string_view pin) {
  ERR_clear_error();
  if (ENGINE_ctrl_cmd_string(engine, "PIN", std::string(pin).c_str(), 0) != 1)
    return EngineError("takes no PIN");
  EvpPkey key{ENGINE_load_private_key(engine, object.c_str(), nullptr, nullptr)};
  if (key) return key;
  return Error{Reason::kBadSignature,
               object +
                   ": no such private key, or a wrong PIN, or the token holds an Ed25519 key, "
                   "which makes all of its keys unreachable: keep Ed25519 keys in files (" +
                   DrainOpenSslErrors() + ")",
               "key.pkcs11"};
}

}  // namespace

bool IsPkcs11Uri(std::string_view text) { return text.starts_with(kScheme); }

Result<PrivateKey> OpenPkcs11Key(std::string_view uri, std::string_view pin) {
  SP_TRY(const Uri parsed, ParseUri(uri));
  SP_TRY(ENGINE* const engine, TheEngine(parsed.module));
  SP_TRY(EvpPkey native, LoadKey(engine, parsed.object, pin));
  SP_TRY(PrivateKey key, PrivateKey::FromNative(native.release()));
  const KeyType type = key.public_key().type();
  if (type != KeyType::kP256 && type != KeyType::kRsa)
    return Error{Reason::kUnsupported, "only P-256 and RSA keys of a token can sign",
                 "key.pkcs11-type"};
  return key;
}

}  // namespace sallyport::pki
