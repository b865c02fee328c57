#pragma once
#include <filesystem>
#include <string_view>

#include "base/files.h"

namespace alma {

/// A lock between processes, on a file of its own. The kernel releases it when the process ends, in whatever way, so a file
/// that is left behind is no obstacle. The file is never removed, since that could take the lock away from a new holder.
class FileLock {
 public:
  enum class State {
    free,         // not requested yet
    held,         // until the end of this object
    busy,         // another process has it
    unsupported,  // the file system has no locks, like some network mounts: nobody is kept out
  };

  /// Creates the file if it does not exist. Throws Error (failed) if it cannot be opened, is a symbolic link or
  /// no plain file.
  explicit FileLock(const std::filesystem::path& path);

  /// Requests the lock without waiting. Throws Error (failed) with the reason if that fails for another reason
  /// than a holder.
  State take();
  /// Replaces the file's content, which names the holder.
  void write(std::string_view text);

 private:
  File file_;
  State state_ = State::free;
};

}  // namespace alma
