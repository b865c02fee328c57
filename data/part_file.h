#pragma once
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/files.h"

namespace alma {

/// A file that is written piece by piece under the name TARGET.part, and is renamed once it is complete and correct: a
/// reader of TARGET sees the old content or the new one. Every failure is an Error (failed) with path and reason.
class PartFile {
 public:
  /// The fate of an unpublished TARGET.part: kept, so that a later process can continue it, or removed.
  enum class Unfinished { keep, remove };

  /// Opens TARGET.part, with its content (Unfinished::keep) or empty. The folder must exist.
  PartFile(std::filesystem::path target, Unfinished unfinished);
  ~PartFile();  // an empty file is removed in any case
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::int64_t bytes() const { return bytes_; }
  void append(std::span<const std::uint8_t> piece);
  /// Discards the content.
  void restart() { cut(0); }
  /// Discards the content from byte `bytes` on, of which there are at least as many.
  void cut(std::int64_t bytes);
  /// Waits until the content is on the disk.
  void sync() { file_.sync(); }
  /// Writes the content to the disk, then renames the file to TARGET, replacing an old one.
  void publish();

 private:
  std::filesystem::path target_, path_;
  Unfinished unfinished_;
  File file_;
  std::int64_t bytes_ = 0;
  bool published_ = false;
};

}  // namespace alma
