#include "ota/repository/document_writer.h"

#include <gtest/gtest.h>

#include "ota/metadata/limits.h"

namespace sallyport::ota {
namespace {

Signer NewSigner() { return Signer(pki::PrivateKey::Generate(pki::KeyType::kEd25519).value()); }

TEST(AddSignature, KeepsTheOthersAndReplacesItsOwn) {
  const Signer a = NewSigner(), b = NewSigner();
  const JsonValue body = TimestampBody(1, UnixTime::FromSeconds(1), MetaFileOf(1, AsBytes("x")));
  const Bytes unsigned_document = WriteSigned(body, {}).value();
  const Bytes once = AddSignature(unsigned_document, a, kTimestampSizeMax).value();
  const Bytes twice =
      AddSignature(AddSignature(once, b, kTimestampSizeMax).value(), a, kTimestampSizeMax).value();

  const auto tree = ParseJson(AsText(twice)).value();
  EXPECT_EQ(tree.Find("signatures")->if_array()->size(), 2U);
  EXPECT_EQ(CanonicalJson(*tree.Find("signed")), CanonicalJson(body));
}

TEST(AddSignature, RefusesWhatIsNoDocument) {
  for (const char* text : {"", "{}", "{\"signed\":1,\"signatures\":[]}", "{\"signed\":{}}"})
    EXPECT_FALSE(AddSignature(AsBytes(text), NewSigner(), kTimestampSizeMax)) << text;
}

TEST(WithMembers, ReplacesAndAdds) {
  const JsonValue object = JsonValue::Object({{"a", 1}, {"b", 2}});
  EXPECT_EQ(WriteJson(WithMembers(object, {{"b", 3}, {"c", 4}})), R"({"a":1,"b":3,"c":4})");
}

}  // namespace
}  // namespace sallyport::ota
