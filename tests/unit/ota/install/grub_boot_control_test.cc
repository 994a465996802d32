#include "ota/install/grub_boot_control.h"

#include "tests/fakes/memory_file_system.h"

namespace sallyport::ota {
namespace {

const std::string kSignature = "# GRUB Environment Block\n";

Bytes Block(const std::string& lines, char fill = '#') {
  std::string text = kSignature + lines;
  text.resize(kGrubBlockSize, fill);
  return ToBytes(text);
}

std::string_view RuleOf(ByteView block) {
  const auto parsed = GrubEnvironment::Parse(block);
  return parsed ? "parsed" : parsed.error().name();
}

TEST(GrubEnvironment, KeepsWhatIsNotOurs) {
  const Bytes block = Block("# a comment = here\nsaved_entry=x\\\\y\nnote=two\\\nlines\nempty=\n");
  GrubEnvironment environment = *GrubEnvironment::Parse(block);

  EXPECT_EQ(*environment.Encode(), block);
  EXPECT_EQ(environment.lines().size(), 4u);
  EXPECT_EQ(environment.Get("note"), "two\\\nlines");
  EXPECT_EQ(environment.Get("empty"), "");
  EXPECT_EQ(environment.Get("# a comment "), std::nullopt);
  environment.Set("empty", "no");
  environment.Set("ORDER", "A B");
  environment.MoveToFront({"ORDER", "missing"});
  EXPECT_EQ(
      *environment.Encode(),
      Block("# a comment = here\nORDER=A B\nsaved_entry=x\\\\y\nnote=two\\\nlines\nempty=no\n"));
}

TEST(GrubEnvironment, RefusesWhatGrubDidNotWrite) {
  EXPECT_EQ(RuleOf(Block("")), "parsed");
  EXPECT_EQ(RuleOf(Block("a=1\n", ' ')), "grub.fill");
  EXPECT_EQ(RuleOf(Block("a=1")), "grub.fill");
  EXPECT_EQ(RuleOf(Block("a\n")), "grub.line");
  EXPECT_EQ(RuleOf(Block("=1\n")), "grub.line");
  EXPECT_EQ(RuleOf(Block("\n")), "grub.line");
  EXPECT_EQ(RuleOf(Block("a=1\na=1\n")), "grub.line");
  EXPECT_EQ(RuleOf(Block(std::string("a=\0\n", 4))), "grub.line");
  Bytes other = Block("a=1\n");
  other[0] = '!';
  EXPECT_EQ(RuleOf(other), "grub.signature");
  const Bytes good = Block("a=1\n");
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(RuleOf(ByteView(good).first(size)), "grub.size");
}

TEST(GrubEnvironment, SaysWhenItIsFull) {
  GrubEnvironment environment = *GrubEnvironment::Parse(Block(""));
  const size_t room = kGrubBlockSize - kSignature.size() - 3;  // name, '=', line end
  environment.Set("a", std::string(room, 'x'));
  EXPECT_TRUE(environment.Encode());
  environment.Set("a", std::string(room + 1, 'x'));
  EXPECT_EQ(environment.Encode().error().rule, "grub.full");
}

class GrubBootControlTest : public ::testing::Test {
 protected:
  GrubBootControlTest() {
    files_.Plant("boot/grubenv", Block("# WARNING: Do not edit\nORDER=A "
                                       "B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0\nsaved_entry=old\n"));
    files_.Plant("proc/cmdline", AsBytes("sallyport.slot=a"));
  }
  std::string Value(const char* name) {
    const auto held = GrubEnvironment::Parse(*ReadFile(files_, "boot/grubenv", kGrubBlockSize));
    return std::string(held->Get(name).value_or("-"));
  }
  std::string Values() {
    return Value("ORDER") + " " + Value("A_OK") + Value("A_TRY") + " " + Value("B_OK") +
           Value("B_TRY");
  }

  MemoryFileSystem files_;
  GrubBootControl boot_{files_, "boot/grubenv", KernelSlot(files_, {"", "", "proc/cmdline"})};
};

TEST_F(GrubBootControlTest, IsNotReadyWithoutItsVariables) {
  files_.Plant("boot/grubenv", Block("saved_entry=old\n"));
  EXPECT_EQ(boot_.Check().error().rule, "grub.variable");
  EXPECT_EQ(boot_.Disarm(Slot::kB).error().rule, "grub.variable");
}

TEST_F(GrubBootControlTest, GoesThroughAnUpdate) {
  EXPECT_TRUE(boot_.Check());
  ASSERT_TRUE(boot_.Disarm(Slot::kB));
  EXPECT_EQ(Values(), "A B 10 00");
  EXPECT_EQ(Value("saved_entry"), "old");
  EXPECT_EQ(*boot_.NextBoot(), std::nullopt);
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  EXPECT_EQ(Values(), "A B 10 01");
  EXPECT_EQ(*boot_.NextBoot(), Slot::kB);
  ASSERT_TRUE(boot_.MakeDefault(Slot::kB));
  EXPECT_EQ(Values(), "B A 10 10");
  ASSERT_TRUE(boot_.Disarm(Slot::kB));
  EXPECT_EQ(Values(), "A B 10 00");
}

TEST_F(GrubBootControlTest, ChangesOneSectorAndNoLength) {
  const Bytes before = *ReadFile(files_, "boot/grubenv", kGrubBlockSize);
  const uint64_t operations = files_.operations();
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  const Bytes after = *ReadFile(files_, "boot/grubenv", kGrubBlockSize);

  EXPECT_EQ(files_.operations() - operations, 2u) << "one write, one sync";
  size_t changed = 0;
  for (size_t i = 0; i < kGrubBlockSize; ++i) {
    if (before[i] == after[i]) continue;
    ++changed;
    EXPECT_LT(i, 512u);
  }
  EXPECT_EQ(changed, 1u);
}

TEST_F(GrubBootControlTest, MovesItsVariablesIntoTheFirstSector) {
  const std::string fill(600, 'x');
  files_.Plant("boot/grubenv",
               Block("note=" + fill + "\nORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0\n"));
  ASSERT_TRUE(boot_.ArmOnce(Slot::kB));
  const Bytes block = *ReadFile(files_, "boot/grubenv", kGrubBlockSize);
  EXPECT_LT(AsText(block).find("B_TRY=1"), 512u);
  EXPECT_EQ(Value("note"), fill);
  files_.Plant("boot/grubenv",
               Block("# " + fill + "\nORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0\n"));
  EXPECT_EQ(boot_.ArmOnce(Slot::kB).error().rule, "grub.full");
}

TEST_F(GrubBootControlTest, RefusesValuesThatAreNotOurs) {
  for (const char* lines :
       {"ORDER=B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0\n",
        "ORDER=A B\nA_OK=2\nA_TRY=0\nB_OK=0\nB_TRY=0\n",
        "ORDER=A B\nA_OK=1\nA_TRY=1\nB_OK=0\nB_TRY=1\n", "ORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\n"}) {
    files_.Plant("boot/grubenv", Block(lines));
    EXPECT_EQ(boot_.NextBoot().error().rule, "grub.variable") << lines;
  }
}

}  // namespace
}  // namespace sallyport::ota
