#include "pki/base/printable.h"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

TEST(PrintableText, KeepsWordsOfAllLanguagesAndNewlines) {
  EXPECT_EQ(PrintableText("a\nb: größe 設定 \U0001F512"), "a\nb: größe 設定 \U0001F512");
  EXPECT_EQ(PrintableText("a\tb\r\nc"), "a b\nc");
}

TEST(PrintableText, TakesAwayWhatSteersATerminal) {
  EXPECT_EQ(PrintableText("\x1b[2J\x1b]0;owned\x07"), "?[2J?]0;owned?");
  EXPECT_EQ(PrintableText("a\rb\x08\x7f"), "a?b??");
  EXPECT_EQ(PrintableText("\xc2\x9b"
                          "31m"),
            "?31m")
      << "the C1 control that is an escape sequence by itself";
  EXPECT_EQ(PrintableText(std::string_view("a\0b", 3)), "a?b");
}

TEST(PrintableText, TakesAwayWhatHidesOrReordersText) {
  EXPECT_EQ(PrintableText("x\u202Egpj.exe"), "x?gpj.exe");
  EXPECT_EQ(PrintableText("a\u200Bb\uFEFFc\u2066d\u2028e"), "a?b?c?d?e");
}

TEST(PrintableText, ReplacesEachByteThatIsNotUtf8) {
  EXPECT_EQ(PrintableText("\xff\xfe"), "??");
  EXPECT_EQ(PrintableText("\xc0\xaf"), "??") << "an overlong slash";
  EXPECT_EQ(PrintableText("\xed\xa0\x80"), "???") << "half of a surrogate pair";
  EXPECT_EQ(PrintableText("\xf4\x90\x80\x80"), "????") << "above U+10FFFF";
  EXPECT_EQ(PrintableText("ab\xe2\x82"), "ab??") << "cut short";
}

TEST(PrintableText, ChangesNothingTheSecondTimeWhateverTheBytes) {
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b), static_cast<char>(a)};
      const std::string once = PrintableText(text);
      EXPECT_EQ(PrintableText(once), once);
      EXPECT_LE(once.size(), text.size());
    }
}

TEST(PrintableLine, IsOneLine) { EXPECT_EQ(PrintableLine("a\r\nb\n"), "a b "); }

TEST(TailOf, BeginsAtAWholeLineElseAtAWholeCharacter) {
  EXPECT_EQ(TailOf("one\ntwo\nthree", 100), "one\ntwo\nthree");
  EXPECT_EQ(TailOf("one\ntwo\nthree", 7), "three");
  EXPECT_EQ(TailOf("one\ntwo\nthree", 5), "three");
  EXPECT_EQ(TailOf("größe", 4), "ße") << "never half of a letter";
  EXPECT_EQ(TailOf("größe", 5), "öße");
  EXPECT_EQ(TailOf("one line\n", 5), "line\n");
  EXPECT_EQ(TailOf("abc", 0), "");
}

}  // namespace
}  // namespace sallyport
