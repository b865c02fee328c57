#include "text/byte_alphabet.h"

namespace alma {

namespace {

constexpr int kFirstOther = 0x100, kOthers = 68;

constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
  std::array<unsigned char, 256> in_order{};
  std::array<int, 256> character{};               // of a byte
  std::array<int, kFirstOther + kOthers> byte{};  // of a character; -1: none

  constexpr Alphabet() {
    std::size_t count = 0;
    int other = kFirstOther;
    byte.fill(-1);
    for (const bool itself : {true, false})
      for (int b = 0; b < 256; ++b) {
        if (stands_for_itself(b) != itself) continue;
        const int c = itself ? b : other++;
        in_order[count++] = static_cast<unsigned char>(b);
        character[static_cast<std::size_t>(b)] = c;
        byte[static_cast<std::size_t>(c)] = b;
      }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

const std::array<unsigned char, 256>& bytes_by_character() { return kAlphabet.in_order; }

std::string to_characters(std::string_view bytes) {
  std::string characters;
  for (const char byte : bytes) {
    const int c = kAlphabet.character[static_cast<unsigned char>(byte)];
    if (c < 0x80) {
      characters += static_cast<char>(c);
    } else {
      characters += static_cast<char>(0xc0 | c >> 6);
      characters += static_cast<char>(0x80 | (c & 0x3f));
    }
  }
  return characters;
}

std::optional<std::string> from_characters(std::string_view characters) {
  std::string bytes;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    unsigned c = static_cast<unsigned char>(characters[i]);
    if (c >= 0x80) {  // none has more than two bytes
      if (c < 0xc2 || c > 0xdf || ++i == characters.size()) return std::nullopt;
      const unsigned second = static_cast<unsigned char>(characters[i]);
      if ((second & 0xc0) != 0x80) return std::nullopt;
      c = (c & 0x1f) << 6 | (second & 0x3f);
    }
    if (c >= kAlphabet.byte.size() || kAlphabet.byte[c] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte[c]);
  }
  return bytes;
}

}  // namespace alma
