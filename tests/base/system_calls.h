#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace alma::test {

/// Answers of the system that a test cannot bring about where it runs: those of other file systems, of a failing disk, of
/// chance. They are in the place of fsync(), flock() and getrandom() of this program.
struct SystemAnswers {
  int sync_of_folder = 0, sync_of_file = 0, lock = 0;  // errno; 0: the system is asked
  std::vector<std::uint64_t> random = {};              // what getrandom() gives next; then the system is asked
};
SystemAnswers& system_answers();

/// Takes its changes back at the end of a test.
class ScopedAnswers {
 public:
  explicit ScopedAnswers(SystemAnswers answers) { system_answers() = std::move(answers); }
  ~ScopedAnswers() { system_answers() = {}; }
  ScopedAnswers(const ScopedAnswers&) = delete;
  ScopedAnswers& operator=(const ScopedAnswers&) = delete;
};

}  // namespace alma::test
