#include "text/character_classes.h"

#include <gtest/gtest.h>

#include "base/checksum.h"
#include "tests/text/golden.h"

namespace alma::test {
namespace {

TEST(CharacterClasses, OfWhatIsEasilyConfused) {
  const CharacterClasses& classes = character_classes();
  for (const std::uint32_t space :
       {0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000})
    EXPECT_EQ(classes[space], CharacterClass::space) << std::hex << space;
  // Separators of ASCII, a vowel separator, what has no width, a mark, private use, no character, the last code point.
  for (const std::uint32_t other : {0x00, 0x1c, 0x1f, 0x180e, 0x200b, 0x0301, 0xe000, 0xd800, 0xfeff, 0xffff, 0x10ffff})
    EXPECT_EQ(classes[other], CharacterClass::other) << std::hex << other;
  for (const std::uint32_t letter : {0x41, 0xaa, 0x1c5, 0x2b0, 0x5d0, 0x4e00, 0x20000})
    EXPECT_EQ(classes[letter], CharacterClass::letter) << std::hex << letter;
  for (const std::uint32_t number : {0x30, 0xb2, 0xbd, 0x0663, 0x2167, 0x1d7ce})
    EXPECT_EQ(classes[number], CharacterClass::number) << std::hex << number;
}

// Python's tables of the same version.
TEST(CharacterClasses, OfEveryCodePoint) {
  const auto& expected = golden()["classes"];
  if (unicode_version() != expected["unicode"])
    GTEST_SKIP() << "the linked PCRE2 has Unicode " << unicode_version() << ", the golden value is of "
                 << expected["unicode"];
  const CharacterClasses& classes = character_classes();
  EXPECT_EQ(sha256({reinterpret_cast<const std::uint8_t*>(classes.data()), classes.size()}), expected["sha256"]);
}

TEST(CharacterClasses, VersionsAreNumbers) {
  EXPECT_NE(unicode_version().find('.'), std::string::npos);
  EXPECT_EQ(pcre2_version().substr(0, 3), "10.");
}

}  // namespace
}  // namespace alma::test
