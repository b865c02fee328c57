#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/pair_table.h"

namespace alma {

/// Two tokens that are merged into a third.
struct Merge {
  std::int32_t left, right, token;
};

/// The name of the token that separates documents, in GPT-2's vocabulary and in trained ones.
inline constexpr char kEndOfText[] = "<|endoftext|>";

/// The tokens and merges of a byte-level byte-pair encoding. Immutable.
class Vocabulary {
 public:
  /// The bytes of each token by id, and the merges by rank. Tokens that are neither a byte nor the result of a merge are
  /// special: no text is encoded as one. Throws Error (data) if a byte has no token or several, if a merge has other bytes
  /// than its two tokens or comes twice, if a token is empty, or if two special tokens are the same.
  Vocabulary(std::vector<std::string> tokens, std::vector<Merge> merges);

  std::int32_t size() const { return static_cast<std::int32_t>(tokens_.size()); }
  /// The bytes of a token, 0 <= id < size().
  const std::string& token(std::int32_t id) const { return tokens_[static_cast<std::size_t>(id)]; }
  std::int32_t byte_token(unsigned char byte) const { return byte_tokens_[byte]; }
  const std::vector<Merge>& merges() const { return merges_; }
  /// Of the merge of two tokens; PairTable::kNone if there is none.
  std::uint32_t rank(std::int32_t left, std::int32_t right) const { return ranks_.find(left, right); }
  /// The special token of that text.
  std::optional<std::int32_t> special(std::string_view text) const;
  bool is_special(std::int32_t id) const;
  /// The SHA-256 of tokens and merges, 64 hexadecimal digits: equal for all files of the same vocabulary.
  const std::string& hash() const { return hash_; }

 private:
  void find_bytes();
  void find_specials();
  std::string compute_hash() const;

  std::vector<std::string> tokens_;
  std::vector<Merge> merges_;
  PairTable ranks_;
  std::array<std::int32_t, 256> byte_tokens_{};
  std::map<std::string, std::int32_t, std::less<>> specials_;
  std::string hash_;
};

/// Reads GPT-2's encoder.json and vocab.bpe from a folder, or Hugging Face's tokenizer.json, from a folder or by its own
/// name, if it holds a byte-level BPE with GPT-2's pattern and nothing that would give other ids. Throws Error (data) that
/// names the file and what was found.
Vocabulary read_vocabulary(const std::filesystem::path& path);

/// Writes encoder.json and vocab.bpe into a folder, which is made if it does not exist; each file is replaced atomically.
void write_vocabulary(const Vocabulary& vocabulary, const std::filesystem::path& folder);

/// The bytes that such ids stand for; special tokens as their text. Throws Error (data) if the vocabulary has no such id.
std::string decode(const Vocabulary& vocabulary, std::span<const std::int32_t> ids);

}  // namespace alma
