#pragma once
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <string>

namespace alma::test {

/// While it exists, files of this process cannot grow beyond `bytes`: a write that would is cut short or refused (EFBIG), as
/// on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes);
  ~FileSizeLimit();
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

/// A file system in memory of a few pages, mounted on `folder`, for what a full disk does. Needs the right to mount.
class SmallDisk {
 public:
  SmallDisk(std::filesystem::path folder, int kibibytes);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  /// Empty if it is mounted, else why it is not.
  const std::string& problem() const { return problem_; }
  /// Fills the space that is left down to `kibibytes`.
  void fill(int kibibytes) const;

 private:
  std::filesystem::path folder_;
  std::string problem_;
};

}  // namespace alma::test
