#pragma once
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace alma::test {

/// What a run of the built `alma` program has left.
struct Outcome {
  int code = -1;  // exit code; -signal if it was killed
  std::string out, err;
  double peak_megabytes = 0;  // of resident memory
};

/// The program in a process of its own, under way; `folder` becomes its working directory and gets its output.
class Program {
 public:
  /// `prepare` runs in the new process, just before the program takes its place: what that inherits.
  Program(std::filesystem::path folder, const std::vector<std::string>& arguments,
          const std::function<void()>& prepare = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) const;
  /// To all of its process group, which it leads.
  void signal_group(int number) const;
  /// Waits, however long that takes, until the condition holds; false if the program ended before it did.
  bool wait_until(const std::function<bool()>& condition) const;
  /// Whether it has a handler for the signal by now: from then on the signal does not simply end it.
  bool catches(int number) const;
  /// Waits for its end.
  Outcome finish();

 private:
  std::filesystem::path folder_;
  pid_t process_;
};

/// Runs the program to its end.
Outcome run_alma(const std::filesystem::path& folder, const std::vector<std::string>& arguments,
                 const std::function<void()>& prepare = {});

/// Expects exit code and, in one line "error: ..." at the start of standard error, all parts.
void expect_failure(const Outcome& outcome, int code, const std::vector<std::string>& parts);

/// metrics.jsonl of a run directory without what depends on the clock.
std::string metrics_of(const std::filesystem::path& run);

/// Options of a run of a second or less on synthetic images, `extra` appended.
std::vector<std::string> small_run(const std::filesystem::path& folder, std::vector<std::string> extra = {});

}  // namespace alma::test
