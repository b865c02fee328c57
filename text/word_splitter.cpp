#include "text/word_splitter.h"

namespace alma {

namespace {

std::uint32_t byte_at(const char* at) { return static_cast<unsigned char>(*at); }

int bytes_of_character(const char* at) {
  const std::uint32_t first = byte_at(at);
  return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/// In valid UTF-8.
std::uint32_t code_point(const char* at) {
  const auto more = [at](int i) { return byte_at(at + i) & 0x3f; };
  switch (const std::uint32_t first = byte_at(at); bytes_of_character(at)) {
    case 1:
      return first;
    case 2:
      return (first & 0x1f) << 6 | more(1);
    case 3:
      return (first & 0x0f) << 12 | more(1) << 6 | more(2);
    default:
      return (first & 0x07) << 18 | more(1) << 12 | more(2) << 6 | more(3);
  }
}

/// Bytes of 's, 't, 're, 've, 'm, 'll or 'd; 0 if the text does not begin with one.
int contraction(const char* at, const char* end) {
  if (*at != '\'' || end - at < 2) return 0;
  const char first = at[1], second = end - at > 2 ? at[2] : '\0';
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  return (second == 'e' && (first == 'r' || first == 'v')) || (first == 'l' && second == 'l') ? 3 : 0;
}

}  // namespace

CharacterClass WordSplitter::kind_at(const char* at) const { return classes_[code_point(at)]; }

const char* WordSplitter::run_end(const char* at, const char* end, CharacterClass kind) const {
  while (at < end && kind_at(at) == kind) at += bytes_of_character(at);
  return at;
}

const char* WordSplitter::any_word_end(const char* begin, const char* end) const {
  if (const int bytes = contraction(begin, end); bytes > 0) return begin + bytes;
  const char* first = begin + (*begin == ' ' && end - begin > 1);
  if (const CharacterClass kind = kind_at(first); kind != CharacterClass::space) return run_end(first, end, kind);

  // White space leaves its last character to the word that follows, unless it has no other.
  const char *last = begin, *after = begin;
  while (after < end && kind_at(after) == CharacterClass::space) {
    last = after;
    after += bytes_of_character(after);
  }
  return after == end || last == begin ? after : last;
}

}  // namespace alma
