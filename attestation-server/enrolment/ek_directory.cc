#include "attestation-server/enrolment/ek_directory.h"

#include <algorithm>

#include "pki/base/json.h"
#include "pki/crypto/hash.h"

namespace sallyport::server {
namespace {

constexpr uint64_t kCertificateFileMax = 1 << 20;  // every known vendor in PEM has 360 KiB
constexpr size_t kFilesMax = 4096;                 // ten times what all vendors publish
constexpr uint64_t kIndexBytesMax = 1 << 20;
constexpr std::string_view kIndexFormat = "ek-bundle/v1";

enum class Kind : uint8_t { kCertificate, kRevocationList, kOther };

std::string Lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

bool StartsAsCertificate(ByteView bytes) {
  return AsText(bytes).starts_with("-----BEGIN CERTIFICATE-----") ||
         (bytes.size() > 2 && bytes[0] == 0x30 && bytes[1] == 0x82);
}

Kind KindOf(std::string_view name, ByteView bytes) {
  const std::string lower = Lower(name);
  if (lower.ends_with(".crl")) return Kind::kRevocationList;
  for (const std::string_view ending : {".pem", ".crt", ".cer", ".der"})
    if (lower.ends_with(ending)) return Kind::kCertificate;
  return StartsAsCertificate(bytes) ? Kind::kCertificate : Kind::kOther;
}

uint64_t SizeMax(std::string_view name) {
  return Lower(name).ends_with(".crl") ? pki::kCrlBytesMax : kCertificateFileMax;
}

Result<Unit> Keep(EkFile file, EkDirectory& out) {
  if (out.certificates.size() + out.revocation_lists.size() == kFilesMax)
    return Error{Reason::kTooLarge, "too many files", "ek.root-count"};
  switch (KindOf(file.name, file.bytes)) {
    case Kind::kCertificate: out.certificates.push_back(std::move(file)); break;
    case Kind::kRevocationList: out.revocation_lists.push_back(std::move(file)); break;
    case Kind::kOther: break;
  }
  return Unit{};
}

Result<Bytes> Read(FileSystem& files, const std::string& directory, const std::string& name) {
  Result<Bytes> bytes = ReadFile(files, directory + "/" + name, SizeMax(name));
  if (!bytes.has_value()) return std::move(bytes).error().WithContext(name);
  return bytes;
}

// ReadLoose reads what lies in the directory and, one level down, in its folders.
Result<Unit> ReadLoose(FileSystem& files, const std::string& directory, EkDirectory& out) {
  SP_TRY(const std::vector<std::string> names, files.List(directory));
  for (const std::string& name : names) {
    if (name.starts_with(".")) continue;
    Result<Bytes> bytes = Read(files, directory, name);
    if (bytes.has_value()) {
      SP_TRY(Keep({"", name, *std::move(bytes)}, out));
      continue;
    }
    const Result<std::vector<std::string>> inner = files.List(directory + "/" + name);
    if (!inner.has_value() || bytes.error().reason == Reason::kTooLarge)
      return std::move(bytes).error();
    for (const std::string& one : *inner) {
      if (one.starts_with(".")) continue;
      SP_TRY(Bytes content, Read(files, directory, name + "/" + one));
      SP_TRY(Keep({name, name + "/" + one, std::move(content)}, out));
    }
  }
  return Unit{};
}

Result<Unit> ReadListed(FileSystem& files, const std::string& directory, const JsonCursor& entry,
                        EkDirectory& out) {
  SP_TRY(const std::string_view name, entry.GetString("name"));
  SP_TRY(const std::string_view vendor, entry.GetString("vendor"));
  SP_TRY(const std::string_view digest, entry.GetString("sha256"));
  if (name.find('/') != std::string_view::npos || name.starts_with("."))
    return Error{Reason::kMalformed, std::string(name), "ek.bundle-index"};
  SP_TRY(Bytes bytes, Read(files, directory, std::string(name)));
  if (HexEncode(pki::Sha256(bytes)) != digest)
    return Error{Reason::kMismatch, std::string(name) + " is not the file that was imported",
                 "ek.bundle-digest"};
  return Keep({std::string(vendor), std::string(name), std::move(bytes)}, out);
}

Result<EkDirectory> ReadIndexed(FileSystem& files, const std::string& directory, ByteView index) {
  EkDirectory out;
  SP_TRY(const JsonValue json, ParseJson(AsText(index)));
  const JsonCursor cursor(json);
  SP_TRY(const std::string_view format, cursor.GetString("sallyport"));
  SP_TRY(const int64_t version, cursor.GetInteger("version", 1));
  SP_TRY(const std::vector<JsonCursor> entries, cursor.GetElements("files"));
  if (format != kIndexFormat)
    return Error{Reason::kMalformed, std::string(format), "ek.bundle-index"};
  out.version = static_cast<uint64_t>(version);
  for (const JsonCursor& entry : entries) SP_TRY(ReadListed(files, directory, entry, out));
  return out;
}

JsonValue IndexOf(const EkDirectory& content) {
  std::vector<JsonValue> entries;
  for (const std::vector<EkFile>* const list : {&content.certificates, &content.revocation_lists})
    for (const EkFile& file : *list)
      entries.push_back(JsonValue::Object({{"name", file.name},
                                           {"vendor", file.vendor},
                                           {"sha256", HexEncode(pki::Sha256(file.bytes))}}));
  return JsonValue::Object({{"sallyport", kIndexFormat},
                            {"version", static_cast<int64_t>(content.version)},
                            {"files", JsonValue::Array(std::move(entries))}});
}

bool Holds(const EkDirectory& content, std::string_view name) {
  const auto named = [name](const EkFile& file) { return file.name == name; };
  return std::ranges::any_of(content.certificates, named) ||
         std::ranges::any_of(content.revocation_lists, named);
}

}  // namespace

Result<EkDirectory> ReadEkDirectory(FileSystem& files, const std::string& directory) {
  const Result<Bytes> index =
      ReadFile(files, directory + "/" + std::string(kEkBundleIndex), kIndexBytesMax);
  if (index.has_value()) {
    Result<EkDirectory> out = ReadIndexed(files, directory, *index);
    if (!out.has_value()) return std::move(out).error().WithContext(std::string(kEkBundleIndex));
    return out;
  }
  if (index.error().reason != Reason::kNotFound) return index.error();
  EkDirectory out;
  SP_TRY(ReadLoose(files, directory, out));
  return out;
}

Result<pki::EkRoots> LoadEkRoots(FileSystem& files, const std::string& directory) {
  SP_TRY(EkDirectory content, ReadEkDirectory(files, directory));
  std::vector<Bytes> certificates;
  for (EkFile& file : content.certificates) certificates.push_back(std::move(file.bytes));
  std::vector<pki::EkCrl> lists;
  for (const EkFile& file : content.revocation_lists) {
    Result<std::vector<pki::EkCrl>> read = pki::EkCrl::FromFile(file.bytes);
    if (!read.has_value()) return std::move(read).error().WithContext(file.name);
    lists.insert(lists.end(), read->begin(), read->end());
  }
  Result<pki::EkRoots> roots = pki::EkRoots::FromCertificates(certificates, lists);
  if (!roots.has_value()) return std::move(roots).error().WithContext(directory);
  return roots;
}

Result<Unit> WriteEkDirectory(FileSystem& files, const std::string& directory,
                              const EkDirectory& content) {
  SP_TRY(files.MakeDirectories(directory));
  const Result<EkDirectory> before = ReadEkDirectory(files, directory);
  for (const std::vector<EkFile>* const list : {&content.certificates, &content.revocation_lists})
    for (const EkFile& file : *list)
      SP_TRY(WriteFileAtomically(files, directory + "/" + file.name, file.bytes));
  const std::string index = WriteJson(IndexOf(content)) + "\n";
  SP_TRY(WriteFileAtomically(files, directory + "/" + std::string(kEkBundleIndex), AsBytes(index)));
  if (!before.has_value() || before->version == 0) return Unit{};
  for (const std::vector<EkFile>* const list : {&before->certificates, &before->revocation_lists})
    for (const EkFile& file : *list) {
      // One that cannot be removed is not listed and does not count.
      if (!Holds(content, file.name)) static_cast<void>(files.Remove(directory + "/" + file.name));
    }
  return Unit{};
}

}  // namespace sallyport::server
