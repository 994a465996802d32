#include "device-client/agent/content_key_record.h"

#include <gtest/gtest.h>

#include "tests/fakes/memory_file_system.h"

namespace sallyport::device {
namespace {

const WrappedContentKey kKey{ReleaseDigest::FromArray({1}), pki::ContentKeyId::FromArray({2}),
                             Bytes(68, 3), Bytes(256, 4)};

TEST(ContentKeyRecord, ComesBackAsItWasSaved) {
  MemoryFileSystem files;
  EXPECT_EQ(*LoadContentKey(files, "/state"), std::nullopt);
  ASSERT_TRUE(SaveContentKey(files, "/state", kKey));
  EXPECT_EQ(*LoadContentKey(files, "/state"), kKey);
}

TEST(ContentKeyRecord, RefusesWhatDoesNotParse) {
  MemoryFileSystem files;
  ASSERT_TRUE(SaveContentKey(files, "/state", kKey));
  const Bytes good = *ReadFile(files, "/state/content-key.json", 8192);
  for (size_t size = 0; size < good.size(); ++size) {
    ASSERT_TRUE(WriteFileAtomically(files, "/state/content-key.json", ByteView(good).first(size)));
    EXPECT_FALSE(LoadContentKey(files, "/state")) << size;
  }
  std::string other = ToString(good);
  other.replace(other.find("content-key/v1"), 14, "content-key/v2");
  ASSERT_TRUE(WriteFileAtomically(files, "/state/content-key.json", AsBytes(other)));
  EXPECT_EQ(LoadContentKey(files, "/state").error().rule, "content-key.record-version");
}

}  // namespace
}  // namespace sallyport::device
