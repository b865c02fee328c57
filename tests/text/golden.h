#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "text/vocabulary.h"

namespace alma::test {

/// tests/golden/bpe.json, by tiktoken and Hugging Face's tokenizers.
const nlohmann::json& golden();

/// The words of each line of a text, as Hugging Face's trainer reads a file, and the vocabulary that is learned from them.
Vocabulary train_on_lines(std::string_view text, std::int32_t size);
/// The largest of the golden vocabularies: all that can be merged in a page of English.
const Vocabulary& small_vocabulary();

std::vector<std::int32_t> encoded(const Vocabulary& vocabulary, std::string_view text);

/// The lines of vocab.bpe without the first.
std::vector<std::string> merge_lines(const Vocabulary& vocabulary);

/// A real text from ALMA_DATA, "novels-valid", and the folder of GPT-2's vocabulary; nothing if it is not there.
std::optional<std::string> real_text(const std::string& name);
std::optional<std::string> gpt2_folder();

/// A string of up to `most` characters that the pattern tells apart: letters, spaces, contractions, any code point.
std::string random_text(std::mt19937_64& random, int most);
std::string utf8(std::uint32_t code_point);

/// Fewer under sanitizers.
#ifdef __SANITIZE_ADDRESS__
inline constexpr int kManyTimes = 20'000;
#else
inline constexpr int kManyTimes = 500'000;
#endif

}  // namespace alma::test
