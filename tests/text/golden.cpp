#include "tests/text/golden.h"

#include <fstream>
#include <iterator>

#include "data/file.h"
#include "data/search.h"
#include "text/bpe_encoder.h"
#include "text/byte_alphabet.h"
#include "text/train_bpe.h"

namespace alma::test {

const nlohmann::json& golden() {
  static const auto golden = nlohmann::json::parse(std::ifstream(ALMA_SOURCE_DIR "/tests/golden/bpe.json"));
  return golden;
}

Vocabulary train_on_lines(std::string_view text, std::int32_t size) {
  WordCounts words;
  for (std::size_t end; !text.empty(); text.remove_prefix(end)) {
    end = std::min(text.find('\n'), text.size() - 1) + 1;
    words.add(text.substr(0, end));
  }
  return train_bpe(words, size);
}

const Vocabulary& small_vocabulary() {
  static const Vocabulary vocabulary = [] {
    const auto& largest = golden()["training"].back();
    return train_on_lines(largest["text"].get<std::string>(), largest["size"]);
  }();
  return vocabulary;
}

std::vector<std::int32_t> encoded(const Vocabulary& vocabulary, std::string_view text) {
  std::vector<std::int32_t> ids;
  BpeEncoder(vocabulary).encode(text, ids);
  return ids;
}

std::vector<std::string> merge_lines(const Vocabulary& vocabulary) {
  std::vector<std::string> lines;
  for (const Merge& merge : vocabulary.merges())
    lines.push_back(to_characters(vocabulary.token(merge.left)) + " " + to_characters(vocabulary.token(merge.right)));
  return lines;
}

std::optional<std::string> real_text(const std::string& name) {
  const DataPlace place = find_data_set({"text", {name + ".txt"}, "", "", {}});
  if (!place.complete()) return std::nullopt;
  const std::vector<std::uint8_t> content = read_file(place.paths.at(0));
  return std::string(content.begin(), content.end());
}

std::optional<std::string> gpt2_folder() {
  const DataPlace place = find_data_set({"gpt2-bpe", {"encoder.json", "vocab.bpe"}, "", "", {}});
  return place.complete() ? std::optional(place.folder) : std::nullopt;
}

std::string utf8(std::uint32_t code_point) {
  const auto byte = [](std::uint32_t bits) { return static_cast<char>(bits); };
  const auto more = [&](int shift) { return byte(0x80 | (code_point >> shift & 0x3f)); };
  if (code_point < 0x80) return {byte(code_point)};
  if (code_point < 0x800) return {byte(0xc0 | code_point >> 6), more(0)};
  if (code_point < 0x10000) return {byte(0xe0 | code_point >> 12), more(6), more(0)};
  return {byte(0xf0 | code_point >> 18), more(12), more(6), more(0)};
}

std::string random_text(std::mt19937_64& random, int most) {
  static const std::string pieces[] = {" ",
                                       "  ",
                                       "\n",
                                       "\t",
                                       "a",
                                       "s",
                                       "The",
                                       "word",
                                       "'",
                                       "'s",
                                       "'ll",
                                       "'re",
                                       "'v",
                                       "'T",
                                       "7",
                                       "42",
                                       ".",
                                       "!!",
                                       "é",
                                       "日",
                                       "½",
                                       "\u00a0",
                                       "\u3000",
                                       "\u0301",
                                       "\r\n",
                                       "-",
                                       "abcdefgh",
                                       std::string(1, '\0'),
                                       "abcdefghijklmnop"};
  const auto below = [&](std::uint64_t n) { return random() % n; };
  std::string text;
  for (std::uint64_t count = below(static_cast<std::uint64_t>(most) + 1); count > 0; --count) {
    std::uint32_t point = static_cast<std::uint32_t>(below(8) == 0 ? below(0x110000) : below(0x3000));
    if (point >= 0xd800 && point < 0xe000) point = 0x2003;
    text += below(4) > 0 ? pieces[below(std::size(pieces))] : utf8(point);
  }
  return text;
}

}  // namespace alma::test
