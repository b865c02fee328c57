#pragma once
#include <cstdint>

#include "text/vocabulary.h"
#include "text/word_counts.h"

namespace alma {

/// Learns a vocabulary from counted words: the 256 bytes, in the order of bytes_by_character(), then merges of the pair of
/// tokens that is there most often, and kEndOfText as the last id. Of pairs that are there equally often the one with the
/// smaller left id comes first, then the one with the smaller right id; a pair that overlaps itself ("aaa") counts at each
/// place. These are the merges of Hugging Face's BpeTrainer (byte-level alphabet, no least frequency, kEndOfText as special
/// token). `size` is that of the vocabulary, at least 257; it has fewer entries if no pair is left. Throws Error (usage) for
/// another size.
Vocabulary train_bpe(const WordCounts& words, std::int32_t size);

}  // namespace alma
