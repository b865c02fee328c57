#pragma once
#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace alma::fuzz {

/// A parser that is given any bytes. What it refuses ends in an Error of one kind. Anything else is a finding: another
/// exception, a crash, a report of a sanitizer, too much time or memory, a property that does not hold.
struct Target {
  const char* name;  // also the folder of its findings
  ErrorKind refuses;
  void (*read)(std::string_view input);
  std::vector<std::string> (*seeds)();  // inputs to start from, among them some that are accepted
};

/// The targets of this program: one with libFuzzer (main.cpp), all of them in the replay (replay_test.cpp).
const std::vector<Target>& targets();

/// A variable of this type in a target's file makes it one of them.
struct Registered {
  explicit Registered(const Target& target);
};

/// Gives the input to the target. Throws for a finding.
void take(const Target& target, std::string_view input);

/// Throws std::logic_error, which is a finding.
void require(bool holds, const std::string& what);

/// A file in the folder of this process, with that content; returns its path. `name` may have folders before it.
std::string write_file(const std::string& name, std::string_view content);
/// The folder of this process.
std::string folder();

/// What stands between the parts of an input that is more than one file.
inline constexpr std::string_view kBetween = "\n%%%%\n";

/// Exactly n parts; those that are missing are empty, and what is left is part of the last.
template <std::size_t n>
std::array<std::string_view, n> parts_of(std::string_view input) {
  std::array<std::string_view, n> parts{};
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t end = i + 1 == n ? input.npos : input.find(kBetween);
    parts[i] = input.substr(0, end);
    input.remove_prefix(end == input.npos ? input.size() : end + kBetween.size());
  }
  return parts;
}

/// Bytes as a text, and back.
template <class Bytes>
std::string text_of(const Bytes& bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace alma::fuzz
