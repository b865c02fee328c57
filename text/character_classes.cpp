#include "text/character_classes.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

#include "base/error.h"

namespace alma {

namespace {

// One group for each class, in the order of `classes` below. Together they match everything: a search through what no group
// takes would try each place anew.
constexpr char kPattern[] =
    R"((\p{L}++)|(\p{N}++)|([\x09-\x0D \x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]++)|)"
    R"(([^\p{L}\p{N}\x09-\x0D \x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]++))";
constexpr CharacterClass kClasses[] = {CharacterClass::letter, CharacterClass::number, CharacterClass::space,
                                       CharacterClass::other};

constexpr std::size_t kSurrogates = 0xd800, kAfterSurrogates = 0xe000;  // which are no characters

std::string all_characters() {
  std::string text;
  text.reserve(4 * kCodePoints);
  const auto add = [&](auto... bytes) { ((text += static_cast<char>(bytes)), ...); };
  const auto more = [](std::size_t bits) { return 0x80 | (bits & 0x3f); };
  for (std::size_t point = 0; point < kCodePoints; ++point) {
    if (point == kSurrogates) point = kAfterSurrogates;
    if (point < 0x80)
      add(point);
    else if (point < 0x800)
      add(0xc0 | point >> 6, more(point));
    else if (point < 0x10000)
      add(0xe0 | point >> 12, more(point >> 6), more(point));
    else
      add(0xf0 | point >> 18, more(point >> 12), more(point >> 6), more(point));
  }
  return text;
}

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

std::unique_ptr<CharacterClasses> make_classes() {
  int error = 0;
  PCRE2_SIZE error_at = 0;
  const std::unique_ptr<pcre2_code, Free> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern), sizeof kPattern - 1,
                                                             PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &error_at,
                                                             nullptr));
  if (!code)
    fail("PCRE2 ", pcre2_version(), " refuses the classes of characters (its error ", error,
         "); is it built without Unicode?");
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // where there is none, the search takes longer
  const std::unique_ptr<pcre2_match_data, Free> match(pcre2_match_data_create_from_pattern(code.get(), nullptr));

  auto classes = std::make_unique<CharacterClasses>();
  const std::string text = all_characters();
  std::size_t point = 0;
  for (std::size_t at = 0; at < text.size();) {
    const int groups = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                   PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (groups < 2)
      fail("PCRE2 ", pcre2_version(), " finds no class of U+", std::hex, point, " (its error ", std::dec, groups, ")");
    for (const std::size_t end = pcre2_get_ovector_pointer(match.get())[1]; at < end;) {
      if (point == kSurrogates) point = kAfterSurrogates;
      classes->at(point++) = kClasses[groups - 2];
      do ++at;
      while (at < end && (text[at] & 0xc0) == 0x80);
    }
  }
  return classes;
}

std::string config_text(std::uint32_t what) {
  char text[64] = "";  // both versions have less than 24 bytes
  pcre2_config(what, text);
  return text;
}

}  // namespace

const CharacterClasses& character_classes() {
  static const std::unique_ptr<const CharacterClasses> classes = make_classes();
  return *classes;
}

std::string pcre2_version() { return config_text(PCRE2_CONFIG_VERSION); }

std::string unicode_version() { return config_text(PCRE2_CONFIG_UNICODE_VERSION); }

}  // namespace alma
