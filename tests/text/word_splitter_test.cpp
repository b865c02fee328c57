// The splitter against PCRE2 with GPT-2's pattern.
#include "text/word_splitter.h"

#include <gtest/gtest.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

#include "tests/text/golden.h"

namespace alma::test {
namespace {

// \s is spelled out, since PCRE2's has U+180E too.
#define SPACES R"(\x09-\x0D \x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})"
constexpr char kPattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{L}\p{N})" SPACES R"(]+|[)" SPACES
                            R"(]+(?![^)" SPACES R"(])|[)" SPACES R"(]+)";

class Judge {
 public:
  Judge() {
    int error = 0;
    PCRE2_SIZE at = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error,
                              &at, nullptr));
    if (!code_) throw std::logic_error("the pattern is refused at " + std::to_string(at));
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    match_.reset(pcre2_match_data_create(1, nullptr));
  }

  /// The ends of all words.
  std::vector<std::size_t> ends(const std::string& text) {
    std::vector<std::size_t> ends;
    for (std::size_t at = 0; at < text.size(); at = ends.back()) {
      const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                    PCRE2_NO_UTF_CHECK, match_.get(), nullptr);
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match_.get());
      if (found < 0 || range[0] != at) throw std::logic_error("PCRE2 finds no word at " + std::to_string(at));
      ends.push_back(range[1]);
    }
    return ends;
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_data, Free> match_;
};

std::vector<std::size_t> split(const std::string& text) {
  // A copy without room behind it, so that a sanitizer sees what is read beyond the end.
  const std::vector<char> exact(text.begin(), text.end());
  const WordSplitter splitter;
  std::vector<std::size_t> ends;
  const char* const end = exact.data() + exact.size();
  for (const char* at = exact.data(); at < end;) {
    at = splitter.word_end(at, end);
    ends.push_back(static_cast<std::size_t>(at - exact.data()));
  }
  return ends;
}

void expect_as_judged(const std::string& text) {
  static Judge judge;
  const std::vector<std::size_t> expected = judge.ends(text), found = split(text);
  if (found == expected) return;
  const std::size_t at = static_cast<std::size_t>(
      std::mismatch(found.begin(), found.end(), expected.begin(), expected.end()).first - found.begin());
  const std::size_t begin = at == 0 ? 0 : expected[at - 1];
  ADD_FAILURE() << "word " << at << " of \"" << text.substr(begin, 60) << "\" ends at "
                << (at < found.size() ? found[at] : 0) << ", expected " << (at < expected.size() ? expected[at] : 0);
}

TEST(WordSplitter, CornerCases) {
  for (const auto& one : golden()["cases"]) expect_as_judged(one["text"]);
}

TEST(WordSplitter, EveryCodePointBesideEveryClass) {
  std::string text;
  for (std::uint32_t point = 0; point < kCodePoints; ++point) {
    if (point >= 0xd800 && point < 0xe000) continue;
    const std::string character = utf8(point);
    text += "a" + character + "1" + character + " " + character + "! " + character + character + "\n";
    if (text.size() < 4096 && point + 1 < kCodePoints) continue;
    expect_as_judged(text);
    text.clear();
    if (testing::Test::HasFailure()) break;
  }
}

TEST(WordSplitter, RandomTexts) {
  std::mt19937_64 random(1);
  for (int i = 0; i < kManyTimes && !testing::Test::HasFailure(); ++i) expect_as_judged(random_text(random, 12));
}

TEST(WordSplitter, WordsOfEveryLengthAtEveryDistanceFromTheEnd) {
  for (std::size_t letters = 1; letters < 40; ++letters)
    for (const char* after : {"", " ", ".", "é", "日", "'s", "1", " b", "\n\nx"})
      for (std::size_t rest = 0; rest < 20; ++rest)
        for (const char* before : {"", " ", "\n", "  "})
          expect_as_judged(before + std::string(letters, 'a') + after + std::string(rest, '.'));
}

TEST(WordSplitter, RealTexts) {
  int texts = 0;
  for (const char* name : {"novels-valid", "wikitext2-valid", "tinyshakespeare"})
    if (const auto text = real_text(name)) {
      expect_as_judged(*text);
      ++texts;
    }
  if (texts == 0) GTEST_SKIP() << "no texts in ALMA_DATA";
}

}  // namespace
}  // namespace alma::test
