#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace alma {

/// A file that is open; closed at the end. Every failure of its functions is an Error (failed) with path and reason.
class File {
 public:
  /// As open(2), always close-on-exec; files are made with mode 0644.
  File(const std::filesystem::path& path, int flags);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// All of it, at the end of what was written before.
  void write(std::string_view text);
  /// Waits until it is on the disk.
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_;
};

/// The whole content; nothing, with errno set, if it cannot be read.
std::optional<std::string> read_text(const std::filesystem::path& path);

/// Replaces a file as a whole: a reader sees the old content or the new one, also after a crash or with a full disk, and on
/// return the new one is on the disk.
void write_atomically(const std::filesystem::path& path, std::string_view text);

/// Waits until the names in a folder are on the disk.
void sync_folder(const std::filesystem::path& folder);

/// The reason behind errno: "No space left on device".
std::string system_error_text(int error);

}  // namespace alma
