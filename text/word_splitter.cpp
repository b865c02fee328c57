#include "text/word_splitter.h"

namespace alma {

namespace {

struct Character {
  CharacterClass kind;
  int bytes;
};

/// The first character of a text in valid UTF-8.
Character character_at(const char* at, const CharacterClasses& classes) {
  const auto byte = [at](int i) -> std::uint32_t { return static_cast<unsigned char>(at[i]); };
  const auto more = [byte](int i) { return byte(i) & 0x3f; };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {classes[first], 1};
  if (first < 0xe0) return {classes[(first & 0x1f) << 6 | more(1)], 2};
  if (first < 0xf0) return {classes[(first & 0x0f) << 12 | more(1) << 6 | more(2)], 3};
  return {classes[(first & 0x07) << 18 | more(1) << 12 | more(2) << 6 | more(3)], 4};
}

/// Bytes of 's, 't, 're, 've, 'm, 'll or 'd; 0 if the text does not begin with one.
int contraction(const char* at, const char* end) {
  if (*at != '\'' || end - at < 2) return 0;
  const char first = at[1], second = end - at > 2 ? at[2] : '\0';
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  return (second == 'e' && (first == 'r' || first == 'v')) || (first == 'l' && second == 'l') ? 3 : 0;
}

}  // namespace

const char* WordSplitter::any_word_end(const char* begin, const char* end) const {
  if (const int bytes = contraction(begin, end); bytes > 0) return begin + bytes;
  const char* after = begin + (*begin == ' ' && end - begin > 1);
  Character character = character_at(after, classes_);
  const CharacterClass kind = character.kind;
  if (kind == CharacterClass::space) after = begin;  // with the space before it
  int last_bytes = 0;
  while (after < end && (character = character_at(after, classes_)).kind == kind) after += last_bytes = character.bytes;
  // White space leaves its last character to the word that follows, unless it has no other.
  const bool leaves = kind == CharacterClass::space && after < end && after - last_bytes > begin;
  return leaves ? after - last_bytes : after;
}

}  // namespace alma
