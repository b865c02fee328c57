#include "base/utf8.h"

#include <gtest/gtest.h>

namespace alma::test {
namespace {

// The ends of every row of table 3-7 of the Unicode standard, and what lies just outside of it.
TEST(Utf8, TheTableOfUnicode) {
  for (const char* good : {"",
                           "plain",
                           "\x7f",
                           "\xc2\x80",
                           "\xdf\xbf",
                           "\xe0\xa0\x80",
                           "\xe0\xbf\xbf",
                           "\xe1\x80\x80",
                           "\xec\xbf\xbf",
                           "\xed\x80\x80",
                           "\xed\x9f\xbf",
                           "\xee\x80\x80",
                           "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80",
                           "\xf0\xbf\xbf\xbf",
                           "\xf1\x80\x80\x80",
                           "\xf3\xbf\xbf\xbf",
                           "\xf4\x80\x80\x80",
                           "\xf4\x8f\xbf\xbf",
                           "caf\xc3\xa9/\xe6\x97\xa5"})
    EXPECT_EQ(first_invalid_utf8(good), std::nullopt) << good;
  for (const char* bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f", "\xc2\xc0", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80",
        "\xed\xbf\xbf", "\xef\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff"})
    EXPECT_EQ(first_invalid_utf8("ab" + std::string(bad)), 2u) << bad;
}

TEST(Utf8, WrongBytesAreShownAsSuch) {
  EXPECT_EQ(shown_bytes("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(shown_bytes("caf\xe9/x\xff\xfe"), "caf\\xE9/x\\xFF\\xFE");
  EXPECT_EQ(shown_bytes("\xe6\x97"), "\\xE6\\x97");
}

// As Python's errors="replace"; more cases in tests/golden/bpe.json.
TEST(Utf8, MaximalSequencesAreReplaced) {
  const std::string mark = "\xef\xbf\xbd";
  EXPECT_EQ(replace_invalid_utf8("caf\xc3\xa9, 0123456789"), "caf\xc3\xa9, 0123456789");
  EXPECT_EQ(replace_invalid_utf8("a\xe6\x97 b"), "a" + mark + " b");
  EXPECT_EQ(replace_invalid_utf8("\xf0\x9f\x98\xf0\x9f\x98\x80"), mark + "\xf0\x9f\x98\x80");
  EXPECT_EQ(replace_invalid_utf8("\xed\xa0\x80"), mark + mark + mark);
  EXPECT_EQ(replace_invalid_utf8("0123456789\xff"), "0123456789" + mark);
}

TEST(Utf8, FindsWhatIsInvalidAtEveryPlace) {
  for (std::size_t before = 0; before < 40; ++before)
    for (std::size_t after = 0; after < 20; ++after) {
      const std::string text = std::string(before, 'a') + "\x80" + std::string(after, 'b');
      EXPECT_EQ(first_invalid_utf8(text), before);
      EXPECT_EQ(first_invalid_utf8("\xc3\xa9" + text), before + 2);
    }
}

}  // namespace
}  // namespace alma::test
