#include "tests/node/efi_variables.h"

#include <cstdio>

namespace sallyport::node {
namespace {

constexpr uint32_t kLoadOptionActive = 1;
constexpr uint8_t kMediaPath = 4;
constexpr uint8_t kFilePath = 4;
constexpr uint8_t kEndOfPath = 0x7f;
constexpr uint16_t kNodeHeaderBytes = 4;

std::string FileName(ByteView utf16) {
  std::string out;
  for (size_t i = 0; i + 1 < utf16.size() && (utf16[i] | utf16[i + 1]) != 0; i += 2)
    out += utf16[i] == '\\' ? '/' : static_cast<char>(utf16[i]);
  return out;
}

Result<std::string> FileOfPath(ByteView device_path) {
  ByteReader reader(device_path, "device path");
  for (;;) {
    SP_TRY(const uint8_t type, reader.U8());
    SP_TRY(const uint8_t subtype, reader.U8());
    SP_TRY(const uint16_t length, reader.LittleU16());
    if (type == kEndOfPath) return Error{Reason::kNotFound, "the device path names no file"};
    if (length < kNodeHeaderBytes) return Error{Reason::kMalformed, "device path node too short"};
    SP_TRY(const ByteView body, reader.Take(length - size_t{kNodeHeaderBytes}));
    if (type == kMediaPath && subtype == kFilePath) return FileName(body);
  }
}

}  // namespace

Bytes Utf16(std::string_view ascii) {
  Bytes out;
  for (const char c : ascii) out.insert(out.end(), {static_cast<uint8_t>(c), 0});
  return out;
}

std::string GuidText(const Guid& guid) {
  constexpr std::array<int, 16> kOrder{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  Bytes ordered;
  for (const int i : kOrder) ordered.push_back(guid[static_cast<size_t>(i)]);
  std::string text = HexEncode(ordered);
  for (const size_t at : {20, 16, 12, 8}) text.insert(at, "-");
  return text;
}

std::optional<Bytes> EfiVariables::Get(const std::string& name, const Guid& guid) const {
  const auto file = ReadFile(files_, Path(name, guid), kVariableBytesMax);
  if (!file || file->size() < sizeof(uint32_t)) return std::nullopt;
  return Bytes(file->begin() + sizeof(uint32_t), file->end());
}

Result<Unit> EfiVariables::Set(const std::string& name, uint32_t attributes, ByteView data,
                               const Guid& guid) {
  return WriteFileAtomically(files_, Path(name, guid),
                             ByteWriter().LittleU32(attributes).Raw(data).bytes());
}

Result<Unit> EfiVariables::Delete(const std::string& name) { return files_.Remove(Path(name)); }

std::vector<uint16_t> EfiVariables::GetU16s(const std::string& name) const {
  const std::optional<Bytes> data = Get(name);
  if (!data || data->size() % 2 != 0) return {};
  std::vector<uint16_t> out;
  for (size_t i = 0; i < data->size(); i += 2)
    out.push_back(static_cast<uint16_t>((*data)[i] | (*data)[i + 1] << 8));
  return out;
}

Result<Unit> EfiVariables::SetU16s(const std::string& name, uint32_t attributes,
                                   const std::vector<uint16_t>& values) {
  ByteWriter data;
  for (const uint16_t value : values) data.LittleU16(value);
  return Set(name, attributes, data.bytes());
}

std::string BootEntryName(uint16_t number) {
  char name[16];
  std::snprintf(name, sizeof name, "Boot%04X", number);
  return name;
}

Result<LoadOption> ParseLoadOption(ByteView data) {
  ByteReader reader(data, "load option");
  SP_TRY(const uint32_t attributes, reader.LittleU32());
  SP_TRY(const uint16_t path_bytes, reader.LittleU16());
  for (uint16_t c = 1; c != 0;) {
    SP_TRY(c, reader.LittleU16());
  }
  SP_TRY(const ByteView path, reader.Take(path_bytes));
  SP_TRY(std::string file, FileOfPath(path));
  return LoadOption{(attributes & kLoadOptionActive) != 0, std::move(file), ToBytes(path)};
}

}  // namespace sallyport::node
