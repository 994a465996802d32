#include "pki/crypto/file_hash.h"

#include "pki/crypto/hash.h"
#include "tests/fakes/memory_file_system.h"

namespace sallyport::pki {
namespace {

std::unique_ptr<File> Holding(MemoryFileSystem& files, const Bytes& content) {
  auto file = *files.Open("f", OpenMode::kCreate);
  EXPECT_TRUE(file->WriteAt(0, content));
  return file;
}

TEST(HashFile, TakesTheWholeFileInPieces) {
  for (const size_t size :
       {size_t{0}, size_t{1}, kHashedPiece - 1, kHashedPiece, kHashedPiece + 1}) {
    MemoryFileSystem files;
    const Bytes content(size, 'x');
    Bytes taken;
    const auto hash = HashFile(*Holding(files, content), [&](ByteView piece) {
      Append(taken, piece);
      return Ok();
    });
    ASSERT_TRUE(hash);
    EXPECT_EQ(hash->length, size);
    EXPECT_EQ(hash->sha256, Sha256(content));
    EXPECT_EQ(taken, content);
  }
}

TEST(HashFile, StopsWhereThePieceIsRefused) {
  MemoryFileSystem files;
  unsigned pieces = 0;
  const auto hash =
      HashFile(*Holding(files, Bytes(3 * kHashedPiece)), [&](ByteView) -> Result<Unit> {
        if (++pieces == 2) return Error{Reason::kNoSpace, "full"};
        return Unit{};
      });
  EXPECT_EQ(hash.error().reason, Reason::kNoSpace);
  EXPECT_EQ(pieces, 2u);
}

}  // namespace
}  // namespace sallyport::pki
