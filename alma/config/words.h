#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace alma {

/// What this version can do with a word of the configuration.
enum class Available {
  yes,
  planned,  // a later version will have it
};

/// An allowed value of a key, and its meaning: "one model, trained further at each update".
struct Word {
  std::string name, doc = {};
  Available available = Available::yes;
};

/// The word of that name; null if there is none.
const Word* find_word(const std::vector<Word>& words, std::string_view name);

/// The words that this version has: "sgd | adam".
std::string available_words(const std::vector<Word>& words);

/// The end of a message about an unknown name: "; did you mean sgd?", or nothing if no word is near. Case is ignored.
std::string did_you_mean(const std::vector<Word>& words, std::string_view name);

}  // namespace alma
