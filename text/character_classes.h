#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace alma {

/// What GPT-2's pattern tells apart.
enum class CharacterClass : std::uint8_t {
  other,
  letter,  // \p{L}
  number,  // \p{N}
  space,   // White_Space: U+0009-000D, 0020, 0085, 00A0, 1680, 2000-200A, 2028, 2029, 202F, 205F, 3000
};

inline constexpr std::size_t kCodePoints = 0x110000;
using CharacterClasses = std::array<CharacterClass, kCodePoints>;

/// The class of every code point, from PCRE2's Unicode tables. Code points that are not assigned in unicode_version() are
/// `other`. The first call makes the table, in some 15 ms; threads may call it at once.
const CharacterClasses& character_classes();

/// The version of the linked PCRE2, "10.42 2022-12-11", and of Unicode in it, "14.0.0".
std::string pcre2_version();
std::string unicode_version();

}  // namespace alma
