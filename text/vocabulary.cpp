#include "text/vocabulary.h"

#include <limits>

#include "base/checksum.h"
#include "base/error.h"
#include "base/utf8.h"

namespace alma {

Vocabulary::Vocabulary(std::vector<std::string> tokens, std::vector<Merge> merges)
    : tokens_(std::move(tokens)), merges_(std::move(merges)), ranks_(merges_.size()) {
  if (tokens_.size() > std::numeric_limits<std::int32_t>::max() || merges_.size() >= PairTable::kNone)
    fail(ErrorKind::data, tokens_.size(), " tokens and ", merges_.size(), " merges; expected less than 2^31");
  find_bytes();
  for (std::size_t rank = 0; rank < merges_.size(); ++rank) {
    const auto& [left, right, merged] = merges_[rank];
    for (const std::int32_t id : {left, right, merged})
      if (id < 0 || id >= size())
        fail(ErrorKind::data, "merge ", rank, " has the token ", id, ", expected 0 .. ", size() - 1);
    if (token(merged) != token(left) + token(right))
      fail(ErrorKind::data, "merge ", rank, " makes token ", merged, " of tokens ", left, " and ", right,
           ", whose bytes are others");
    if (!ranks_.insert(left, right, static_cast<std::uint32_t>(rank)))
      fail(ErrorKind::data, "merge ", rank, " of tokens ", left, " and ", right, " is there twice; the first is merge ",
           this->rank(left, right));
  }
  find_specials();
  hash_ = compute_hash();
}

void Vocabulary::find_bytes() {
  byte_tokens_.fill(-1);
  for (std::int32_t id = 0; id < size(); ++id) {
    if (token(id).empty()) fail(ErrorKind::data, "token ", id, " is empty");
    if (token(id).size() > 1) continue;
    std::int32_t& known = byte_tokens_[static_cast<unsigned char>(token(id)[0])];
    if (known >= 0) fail(ErrorKind::data, "tokens ", known, " and ", id, " are the same byte");
    known = id;
  }
  for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte)
    if (byte_tokens_[byte] < 0)
      fail(ErrorKind::data, "byte ", byte,
           " has no token; expected one for each of the 256 bytes (a byte-level vocabulary)");
}

void Vocabulary::find_specials() {
  std::vector<bool> made(tokens_.size());
  for (const Merge& merge : merges_) made[static_cast<std::size_t>(merge.token)] = true;
  for (std::int32_t id = 0; id < size(); ++id) {
    if (token(id).size() == 1 || made[static_cast<std::size_t>(id)]) continue;
    const auto [known, is_new] = specials_.emplace(token(id), id);
    if (!is_new)
      fail(ErrorKind::data, "tokens ", known->second, " and ", id, " are the same, \"", shown_bytes(token(id)), '"');
  }
}

std::optional<std::int32_t> Vocabulary::special(std::string_view text) const {
  const auto found = specials_.find(text);
  return found == specials_.end() ? std::nullopt : std::optional(found->second);
}

bool Vocabulary::is_special(std::int32_t id) const { return special(token(id)) == id; }

std::string Vocabulary::compute_hash() const {
  std::string text;
  for (const std::string& bytes : tokens_) text.append(std::to_string(bytes.size())).append(":").append(bytes);
  for (const auto& [left, right, merged] : merges_)
    text.append("\n")
        .append(std::to_string(left))
        .append(" ")
        .append(std::to_string(right))
        .append(" ")
        .append(std::to_string(merged));
  return sha256(text);
}

std::string decode(const Vocabulary& vocabulary, std::span<const std::int32_t> ids) {
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary.size())
      fail(ErrorKind::data, "id ", ids[i], " (number ", i, " of ", ids.size(), ") is not in the vocabulary, which has 0 .. ",
           vocabulary.size() - 1, "; was the text encoded with another one?");
    text += vocabulary.token(ids[i]);
  }
  return text;
}

}  // namespace alma
