#include "device-client/enforce/preface.h"

namespace sallyport::device {
namespace {

const ClientPreface kClient{"rtsp", "some-device", 7};
const ServerPreface kServer{PrefaceCode::kDenied, "no-grant", 7, 0};

TEST(Preface, IsTheBytesOfTheProtocol) {
  EXPECT_EQ(HexEncode(WriteClientPreface({"a", "bc", 258})),
            "53505831"
            "01"
            "000f"
            "000161"
            "00026263"
            "0000000000000102");
  EXPECT_EQ(HexEncode(WriteServerPreface({PrefaceCode::kAllowed, "", 1, 2})),
            "53505831"
            "02"
            "0013"
            "00"
            "0000"
            "0000000000000001"
            "0000000000000002");
}

TEST(Preface, RoundTripsAndLeavesWhatFollows) {
  Bytes bytes = WriteClientPreface(kClient);
  const size_t size = bytes.size();
  Append(bytes, AsBytes("flow"));
  const auto client = ReadClientPreface(bytes);
  ASSERT_TRUE(client && *client);
  EXPECT_EQ((*client)->size, size);
  EXPECT_EQ((*client)->preface.service, "rtsp");
  EXPECT_EQ((*client)->preface.destination, "some-device");
  EXPECT_EQ((*client)->preface.policy_version, 7u);
  const auto server = ReadServerPreface(WriteServerPreface(kServer));
  ASSERT_TRUE(server && *server);
  EXPECT_EQ((*server)->preface.reason, "no-grant");
  EXPECT_EQ((*server)->preface.code, PrefaceCode::kDenied);
}

TEST(Preface, AsksForMoreAtEveryPrefix) {
  const Bytes client = WriteClientPreface(kClient);
  for (size_t i = 0; i < client.size(); ++i) {
    const auto read = ReadClientPreface(ByteView(client).first(i));
    EXPECT_TRUE(read && !*read) << i;
  }
}

TEST(Preface, RefusesForeignBytesAsSoonAsTheyShow) {
  EXPECT_EQ(ReadClientPreface(AsBytes("G")).error().rule, "preface.magic");
  EXPECT_EQ(ReadClientPreface(AsBytes("SPX2")).error().rule, "preface.magic");
  EXPECT_EQ(ReadClientPreface(WriteServerPreface(kServer)).error().rule, "preface.kind");
  EXPECT_EQ(ReadServerPreface(WriteClientPreface(kClient)).error().rule, "preface.kind");
  EXPECT_EQ(ReadClientPreface(*HexDecode("53505831"
                                         "01"
                                         "0201"))
                .error()
                .rule,
            "preface.length");
  EXPECT_EQ(ReadClientPreface(*HexDecode("53505831"
                                         "01"
                                         "0001"
                                         "00"))
                .error()
                .rule,
            "preface.body");
  EXPECT_EQ(ReadClientPreface(*HexDecode("53505831"
                                         "01"
                                         "000d"
                                         "0000"
                                         "0000"
                                         "0000000000000001"
                                         "00"))
                .error()
                .rule,
            "preface.body");
  EXPECT_EQ(ReadServerPreface(*HexDecode("53505831"
                                         "02"
                                         "0013"
                                         "03"
                                         "0000"
                                         "0000000000000001"
                                         "0000000000000002"))
                .error()
                .rule,
            "preface.code");
}

TEST(Preface, CutsALongReason) {
  const auto read =
      ReadServerPreface(WriteServerPreface({PrefaceCode::kDenied, std::string(2000, 'x'), 1, 0}));
  ASSERT_TRUE(read && *read);
  EXPECT_EQ((*read)->size, kPrefaceSizeMax);
}

}  // namespace
}  // namespace sallyport::device
