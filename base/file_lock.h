#pragma once
#include <filesystem>
#include <string_view>

#include "base/files.h"

namespace alma {

/// A lock between processes, on a file of its own. The kernel lets go of it when its process ends in whatever way, so a file
/// left behind is no obstacle; the file stays, since removing it could take a new holder's lock away.
class FileLock {
 public:
  enum class State {
    free,         // not asked for yet
    held,         // until the end of this object
    busy,         // another process has it
    unsupported,  // the file system knows no locks, as some network mounts: nobody is kept out
  };

  /// Makes the file if need be. Throws Error (failed) if it cannot be opened, is a symbolic link or no plain file.
  explicit FileLock(const std::filesystem::path& path);

  /// Asks for it without waiting. Throws Error (failed) with the reason if that fails otherwise.
  State take();
  /// Replaces the file's content: who has the lock.
  void write(std::string_view text);

 private:
  File file_;
  State state_ = State::free;
};

}  // namespace alma
