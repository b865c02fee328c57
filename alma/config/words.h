#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace alma {

/// What this version can do with a word that a configuration may have.
enum class Available {
  yes,
  report_only,  // finished runs of it are read by `alma report`; it cannot be trained or evaluated
  planned,      // a later version will have it
};

/// A word that a key may have, and what it means: "one model, trained further at each update".
struct Word {
  std::string name, doc = {};
  Available available = Available::yes;
};

/// The word of that name; null if there is none.
const Word* find_word(const std::vector<Word>& words, std::string_view name);

/// Those that this version has: "sgd | adam".
std::string available_words(const std::vector<Word>& words);

/// The end of a message about an unknown name: "; did you mean sgd?", or nothing if none is near. Case does not count.
std::string did_you_mean(const std::vector<Word>& words, std::string_view name);

}  // namespace alma
