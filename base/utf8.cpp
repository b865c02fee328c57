#include "base/utf8.h"

#include <cstdint>
#include <cstdio>
#include <cstring>

namespace alma {

namespace {

/// What a text begins with: a character, or bytes that are none.
struct Sequence {
  std::size_t bytes;  // of the character; or the longest beginning of one that is broken off, at least 1
  bool valid;
};

Sequence first_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {1, true};
  const std::size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                             : (first & 0xf0) == 0xe0         ? 3
                             : first >= 0xf0 && first <= 0xf4 ? 4
                                                              : 0;
  if (length == 0) return {1, false};
  // Narrower for the second byte: nothing overlong, no surrogates, nothing beyond U+10FFFF.
  unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  std::size_t bytes = 1;
  for (; bytes < length && bytes < text.size() && byte(bytes) >= least && byte(bytes) <= most; ++bytes) {
    least = 0x80;
    most = 0xbf;
  }
  return {bytes, bytes == length};
}

std::size_t ascii_bytes(std::string_view text) {
  std::size_t bytes = 0;
  for (std::uint64_t eight; bytes + sizeof eight <= text.size(); bytes += sizeof eight) {
    std::memcpy(&eight, text.data() + bytes, sizeof eight);
    if ((eight & 0x8080808080808080) != 0) break;
  }
  return bytes;
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t at = ascii_bytes(text); at < text.size();) {
    const Sequence sequence = first_sequence(text.substr(at));
    if (!sequence.valid) return at;
    at += sequence.bytes;
    if (sequence.bytes > 1) at += ascii_bytes(text.substr(at));
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string replaced;
  while (const auto wrong = first_invalid_utf8(text)) {
    replaced.append(text.substr(0, *wrong)).append("\xef\xbf\xbd");
    text.remove_prefix(*wrong + first_sequence(text.substr(*wrong)).bytes);
  }
  return replaced.append(text);
}

std::string shown_bytes(std::string_view text) {
  std::string shown;
  while (const auto wrong = first_invalid_utf8(text)) {
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02X", static_cast<unsigned>(static_cast<unsigned char>(text[*wrong])));
    shown.append(text.substr(0, *wrong)).append(code);
    text.remove_prefix(*wrong + 1);
  }
  return shown.append(text);
}

}  // namespace alma
