#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

#include "text/character_classes.h"

namespace alma {

/// Splits texts into the words of GPT-2, which are the matches of
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// Every byte of a text is in exactly one word.
class WordSplitter {
 public:
  /// The end of the word that begins at `begin`, in a text in valid UTF-8 that ends at `end`, beyond which nothing is read.
  /// begin < end, and at begin begins a word: the text, or what follows another word.
  const char* word_end(const char* begin, const char* end) const {
    // Most words are ASCII letters after a space.
    const char* letters = begin + (*begin == ' ');
    if (end - letters > 16) {
      int count = leading_ascii_letters(letters);
      if (count == 8) count += leading_ascii_letters(letters + 8);
      if (count > 0 && count < 16 && static_cast<signed char>(letters[count]) >= 0) return letters + count;
    }
    return any_word_end(begin, end);
  }

 private:
  /// How many of eight bytes are letters before the first that is none.
  static int leading_ascii_letters(const char* text) {
    static_assert(std::endian::native == std::endian::little);
    constexpr std::uint64_t each = 0x0101010101010101, high = 0x80 * each;
    std::uint64_t bytes;
    std::memcpy(&bytes, text, sizeof bytes);
    // In lower case and without their high bits, no sum carries into the next byte.
    const std::uint64_t lower = (bytes | 0x20 * each) & ~high;
    const std::uint64_t from_a = lower + (0x80 - 'a') * each, beyond_z = lower + (0x80 - 'z' - 1) * each;
    const std::uint64_t letters = from_a & ~beyond_z & ~bytes & high;
    return std::countr_zero(letters ^ high) / 8;
  }

  const char* any_word_end(const char* begin, const char* end) const;

  const CharacterClasses& classes_ = character_classes();
};

}  // namespace alma
