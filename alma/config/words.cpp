#include "alma/config/words.h"

#include <algorithm>
#include <cctype>

#include "alma/config/edit_distance.h"

namespace alma {

namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace

const Word* find_word(const std::vector<Word>& words, std::string_view name) {
  const auto found = std::find_if(words.begin(), words.end(), [&](const Word& word) { return word.name == name; });
  return found == words.end() ? nullptr : &*found;
}

std::string available_words(const std::vector<Word>& words) {
  std::string text;
  for (const Word& word : words)
    if (word.available == Available::yes) text += (text.empty() ? "" : " | ") + word.name;
  return text;
}

std::string did_you_mean(const std::vector<Word>& words, std::string_view name) {
  const Word* nearest = nullptr;
  std::size_t smallest = 0;
  for (const Word& word : words) {
    if (word.available == Available::planned) continue;
    const std::size_t distance = edit_distance(lower_case(name), lower_case(word.name));
    if (nearest == nullptr || distance < smallest) nearest = &word, smallest = distance;
  }
  return nearest != nullptr && 2 * smallest <= name.size() ? "; did you mean " + nearest->name + "?" : "";
}

}  // namespace alma
