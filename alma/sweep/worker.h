#pragma once
#include <sys/types.h>

#include <cstring>
#include <functional>
#include <string>
#include <type_traits>

#include "base/error.h"

namespace alma {

/// The system has no room for another process or its pipes; it may have room later.
struct CannotStart : Error {
  using Error::Error;
};

/// Work in a child process, a copy of this one: it may fail or be killed without harm to others. Make it while this process
/// has no threads. When this process ends, the work is told to end, as by terminate().
class WorkerProcess {
 public:
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  /// Kills the process if it still runs.
  ~WorkerProcess();

  /// A descriptor that becomes readable when the work writes something or ends.
  int text_descriptor() const { return text_; }
  /// Reads the output that has arrived; returns false once the process has ended.
  bool read();
  /// Tells the work to save and end, as a signal that requests an end does (alma/run/interrupt.h).
  void terminate() const;

  /// The standard error of the work so far.
  const std::string& text() const { return said_; }
  /// The exit code, or -signal, after read() has returned false.
  int code() const { return code_; }

 protected:
  using Send = std::function<void(const void* report)>;
  /// `work` runs in the new process and returns the exit code. Throws CannotStart.
  WorkerProcess(std::size_t report_bytes, const std::function<int(const Send&)>& work);

  std::string latest_;  // the latest report; empty before the first

 private:
  std::size_t report_bytes_;
  pid_t process_ = -1;
  int reports_ = -1, text_ = -1;
  std::string said_;
  int code_ = 0;
};

/// Work that sends reports of one type, as often as it likes; a few per second arrive.
template <class Report>
class Worker : public WorkerProcess {
  static_assert(std::is_trivially_copyable_v<Report> && sizeof(Report) <= 512,
                "a report goes through the pipe in one piece");

 public:
  explicit Worker(const std::function<int(const std::function<void(const Report&)>& send)>& work)
      : WorkerProcess(sizeof(Report), [&work](const Send& send) { return work([&](const Report& r) { send(&r); }); }) {}

  /// The latest report; Report{} before the first.
  Report report() const {
    Report report;
    if (!latest_.empty()) std::memcpy(&report, latest_.data(), sizeof report);
    return report;
  }
};

}  // namespace alma
