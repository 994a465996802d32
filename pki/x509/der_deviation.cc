#include "pki/x509/der_deviation.h"

#include <algorithm>

#include "pki/x509/der.h"

namespace sallyport::pki {
namespace {

constexpr int kDepthMax = 32;  // a certificate nests about ten deep
constexpr uint8_t kConstructed = 0x20;
constexpr std::string_view kRule = "ek.der";

using Found = std::optional<std::string>;

Found At(ByteView whole, ByteView here, std::string_view what) {
  return std::string(what) + " at byte " + std::to_string(here.data() - whole.data());
}

bool IsMinimalInteger(ByteView content) {
  if (content.empty()) return false;
  if (content.size() == 1) return true;
  const bool zeros = content[0] == 0x00 && (content[1] & 0x80) == 0;
  const bool ones = content[0] == 0xFF && (content[1] & 0x80) != 0;
  return !zeros && !ones;
}

bool IsDerBitString(ByteView content) {
  if (content.empty() || content[0] > 7) return false;
  if (content.size() == 1) return content[0] == 0;
  return (content.back() & ((1U << content[0]) - 1)) == 0;
}

bool IsDerTime(const der::Element& element) {
  const ByteView digits = element.content.first(std::max<size_t>(element.content.size(), 1) - 1);
  return element.content.size() == (element.tag == der::kUtcTime ? 13U : 15U) &&
         element.content.back() == 'Z' &&
         std::ranges::all_of(digits, [](uint8_t c) { return c >= '0' && c <= '9'; });
}

std::string_view PrimitiveFault(const der::Element& element) {
  const ByteView content = element.content;
  switch (element.tag) {
    case der::kBoolean:
      return content.size() == 1 && (content[0] == 0 || content[0] == 0xFF) ? ""
                                                                            : "a BOOLEAN of BER";
    case der::kInteger:
    case der::kEnumerated: return IsMinimalInteger(content) ? "" : "an INTEGER with padding";
    case der::kBitString: return IsDerBitString(content) ? "" : "unused bits that are not zero";
    case der::kUtcTime:
    case der::kGeneralizedTime:
      return IsDerTime(element) ? "" : "a time that is not in its one form";
  }
  return "";
}

bool Sorted(const std::vector<ByteView>& members) {
  return std::ranges::is_sorted(
      members, [](ByteView a, ByteView b) { return std::ranges::lexicographical_compare(a, b); });
}

// An Extension that writes out the default FALSE of `critical`.
bool EncodesDefault(const std::vector<der::Element>& members) {
  return members.size() == 3 && members[0].tag == der::kOid && members[1].tag == der::kBoolean &&
         members[2].tag == der::kOctetString && members[1].content.size() == 1 &&
         members[1].content[0] == 0;
}

bool IsExtension(const std::vector<der::Element>& members) {
  return members.size() >= 2 && members.front().tag == der::kOid &&
         members.back().tag == der::kOctetString;
}

// IsOneElement tells the value of an extension from octets that only look like one.
bool IsOneElement(ByteView content) {
  der::Reader reader(content, kRule);
  return reader.Any().has_value() && reader.empty();
}

Found Walk(ByteView whole, ByteView part, int depth);

Found WalkMembers(ByteView whole, const der::Element& parent, int depth) {
  std::vector<der::Element> members;
  der::Reader reader(parent.content, kRule);
  while (!reader.empty()) {
    const Result<der::Element> member = reader.Any();
    if (!member.has_value()) return At(whole, parent.content, member.error().detail);
    members.push_back(*member);
  }
  if (parent.tag == der::kSet) {
    std::vector<ByteView> encodings;
    for (const der::Element& member : members) encodings.push_back(member.whole);
    if (!Sorted(encodings)) return At(whole, parent.whole, "a SET whose members are not sorted");
  }
  if (parent.tag == der::kSequence && EncodesDefault(members))
    return At(whole, parent.whole, "an encoded default");
  for (const der::Element& member : members)
    if (Found found = Walk(whole, member.whole, depth)) return found;
  if (parent.tag == der::kSequence && IsExtension(members) && IsOneElement(members.back().content))
    return Walk(whole, members.back().content, depth);
  return std::nullopt;
}

// Walk judges one element and what is in it.
Found Walk(ByteView whole, ByteView part, int depth) {
  if (depth == 0) return At(whole, part, "nesting");
  der::Reader reader(part, kRule);
  const Result<der::Element> element = reader.Any();
  if (!element.has_value()) return At(whole, part, element.error().detail);
  if (!reader.empty()) return At(whole, part, "trailing bytes");
  if ((element->tag & kConstructed) != 0) return WalkMembers(whole, *element, depth - 1);
  const std::string_view fault = PrimitiveFault(*element);
  if (!fault.empty()) return At(whole, part, fault);
  return std::nullopt;
}

}  // namespace

Found FindDerDeviation(ByteView der) { return Walk(der, der, kDepthMax); }

}  // namespace sallyport::pki
