#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "text/invalid_bytes.h"
#include "text/word_splitter.h"

namespace alma {

/// How often each word occurs in documents that arrive one by one. Its memory grows with the different words alone.
class WordCounts {
 public:
  /// Counts the words of a whole document. Throws Error (data) as `policy` says; nothing is counted then.
  void add(std::string_view document, InvalidBytes policy = InvalidBytes::refuse);

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view word) const { return std::hash<std::string_view>{}(word); }
  };
  using Counts = std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>>;
  const Counts& counts() const { return counts_; }

 private:
  WordSplitter splitter_;
  Counts counts_;
};

}  // namespace alma
