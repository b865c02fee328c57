#pragma once
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/files.h"

namespace alma {

/// A file that is made piece by piece under a name of its own, TARGET.part, and gets its name once it is complete and right:
/// whoever reads TARGET sees the old content or the new one. Every failure is an Error (failed) with path and reason.
class PartFile {
 public:
  /// What becomes of TARGET.part if it is not published: kept, for a later process to go on with, or removed.
  enum class Unfinished { keep, remove };

  /// Opens TARGET.part, with what it holds (Unfinished::keep), or empty. The folder must exist.
  PartFile(std::filesystem::path target, Unfinished unfinished);
  ~PartFile();  // an empty file is removed in any case
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::int64_t bytes() const { return bytes_; }
  void append(std::span<const std::uint8_t> piece);
  /// Forgets the content.
  void restart();
  /// Brings the content to the disk, then gives the file its name; replaces what had that name.
  void publish();

 private:
  std::filesystem::path target_, path_;
  Unfinished unfinished_;
  File file_;
  std::int64_t bytes_ = 0;
  bool published_ = false;
};

}  // namespace alma
