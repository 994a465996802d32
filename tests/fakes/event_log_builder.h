// EventLogBuilder writes crypto-agile TCG event logs, well-formed or not.
#pragma once

#include <utility>
#include <vector>

#include "attestation-server/evidence/event_data.h"

namespace sallyport {

class EventLogBuilder {
 public:
  using EventType = server::EventType;
  using Bank = server::Bank;

  // Starts with the Spec ID event for `banks`.
  explicit EventLogBuilder(std::vector<Bank> banks = {Bank::kSha256}) : banks_(std::move(banks)) {
    ByteWriter spec;
    spec.Raw(AsBytes({"Spec ID Event03\0", 16})).LittleU32(0).U8(0).U8(2).U8(0).U8(2);
    spec.LittleU32(static_cast<uint32_t>(banks_.size()));
    for (const Bank bank : banks_)
      spec.LittleU16(static_cast<uint16_t>(bank))
          .LittleU16(static_cast<uint16_t>(server::BankDigestSize(bank)));
    spec.U8(0);
    out_.LittleU32(0).LittleU32(static_cast<uint32_t>(EventType::kNoAction)).Raw(Bytes(20, 0));
    out_.LittleU32(static_cast<uint32_t>(spec.bytes().size())).Raw(spec.bytes());
  }

  // Hashed adds an event whose digests are the hashes of `data`.
  EventLogBuilder& Hashed(uint32_t pcr, EventType type, ByteView data) {
    return Measured(pcr, type, data, data);
  }
  // Measured adds an event whose digests are the hashes of `measured`.
  EventLogBuilder& Measured(uint32_t pcr, EventType type, ByteView measured, ByteView data) {
    Begin(pcr, type);
    for (const Bank bank : banks_)
      out_.LittleU16(static_cast<uint16_t>(bank)).Raw(server::HashWith(bank, measured).view());
    return Data(data);
  }
  EventLogBuilder& NoAction(uint32_t pcr, ByteView data) {
    Begin(pcr, EventType::kNoAction);
    for (const Bank bank : banks_)
      out_.LittleU16(static_cast<uint16_t>(bank)).Raw(Bytes(server::BankDigestSize(bank), 0));
    return Data(data);
  }
  EventLogBuilder& Separator(uint32_t pcr) {
    return Hashed(pcr, EventType::kSeparator, Bytes(4, 0));
  }
  EventLogBuilder& Action(uint32_t pcr, std::string_view text) {
    return Hashed(pcr, EventType::kEfiAction, AsBytes(text));
  }
  EventLogBuilder& Application(std::string_view image) {
    return Measured(4, EventType::kBootServicesApplication, AsBytes(image), Bytes(32, 0));
  }
  EventLogBuilder& Variable(EventType type, std::string_view guid, std::string_view name,
                            ByteView content) {
    return Hashed(7, type, VariableData(guid, name, content));
  }
  EventLogBuilder& Config(std::string_view guid, std::string_view name, ByteView content) {
    return Variable(EventType::kVariableDriverConfig, guid, name, content);
  }
  EventLogBuilder& Locality(uint8_t locality) {
    Bytes data = ToBytes(std::string_view("StartupLocality\0", 16));
    data.push_back(locality);
    return NoAction(0, data);
  }
  EventLogBuilder& Raw(ByteView bytes) {
    out_.Raw(bytes);
    return *this;
  }

  // SecureBootVariables adds the five variables of PCR 7 as firmware with Secure Boot on writes
  // them.
  EventLogBuilder& SecureBootVariables(bool on = true) {
    const Bytes list = on ? Bytes(60, 7) : Bytes();
    Config(server::kGlobalVariableGuid, "SecureBoot", Bytes(1, on ? 1 : 0));
    Config(server::kGlobalVariableGuid, "PK", list);
    Config(server::kGlobalVariableGuid, "KEK", list);
    Config(server::kImageSecurityGuid, "db", list);
    return Config(server::kImageSecurityGuid, "dbx", list);
  }
  EventLogBuilder& Authority(std::string_view name = "db") {
    return Variable(EventType::kVariableAuthority, server::kImageSecurityGuid, name, Bytes(40, 9));
  }
  // Separators adds one to each of PCR 0 to 6 (PCR 7 has its own, earlier).
  EventLogBuilder& Separators() {
    for (uint32_t pcr = 0; pcr < 7; ++pcr) Separator(pcr);
    return *this;
  }

  const Bytes& bytes() const { return out_.bytes(); }

  static Bytes VariableData(std::string_view guid, std::string_view name, ByteView content) {
    ByteWriter out;
    out.Raw(GuidBytes(guid)).LittleU64(name.size()).LittleU64(content.size());
    for (const char c : name) out.LittleU16(static_cast<uint8_t>(c));
    return std::move(out.Raw(content)).Take();
  }

 private:
  void Begin(uint32_t pcr, EventType type) {
    out_.LittleU32(pcr)
        .LittleU32(static_cast<uint32_t>(type))
        .LittleU32(static_cast<uint32_t>(banks_.size()));
  }
  EventLogBuilder& Data(ByteView data) {
    out_.LittleU32(static_cast<uint32_t>(data.size())).Raw(data);
    return *this;
  }
  static Bytes GuidBytes(std::string_view guid) {
    std::string hex;
    for (const char c : guid)
      if (c != '-') hex += c;
    Bytes raw = HexDecode(hex).value();
    std::swap(raw[0], raw[3]);
    std::swap(raw[1], raw[2]);
    std::swap(raw[4], raw[5]);
    std::swap(raw[6], raw[7]);
    return raw;
  }

  std::vector<Bank> banks_;
  ByteWriter out_;
};

}  // namespace sallyport
