#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

struct stat;

namespace alma {

/// An open file; closed at the end. Every failure of its functions is an Error (failed) with path and reason.
class File {
 public:
  enum class Kind {
    plain,  // anything else (a pipe, a device, a folder) is an Error, and is never waited for
    any,    // also what is no plain file
  };

  /// As open(2), always close-on-exec; `mode` is for files that are made.
  File(const std::filesystem::path& path, int flags, Kind kind = Kind::plain, unsigned mode = 0644);
  /// Takes a descriptor over; `path` is for messages.
  File(std::filesystem::path path, int descriptor, std::nullptr_t) : path_(std::move(path)), descriptor_(descriptor) {}
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  std::uint64_t size() const;
  /// Up to so many bytes from where the last read ended; fewer only at the end of the file.
  std::size_t read(void* data, std::size_t bytes);
  /// All of it, at the end of what was written before.
  void write(std::string_view text);
  void truncate(std::uint64_t bytes);
  /// Waits until it is on the disk, where a file system knows how.
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_;
};

/// The whole content of a file of any kind; nothing, with errno set, if it cannot be read. For what a user has named.
std::optional<std::string> read_text(const std::filesystem::path& path);

/// A plain file to read from; nothing if there is none of that name. For what a program finds in a folder that may be
/// damaged or hostile. Throws Error: (data) if it is no plain file; (failed) if it is there and cannot be read now, which
/// says nothing about its content.
std::optional<File> open_plain_file(const std::filesystem::path& path);

/// The whole content of such a file. Throws as open_plain_file(), and Error (data) if it is larger than `limit`.
std::optional<std::string> read_plain_file(const std::filesystem::path& path,
                                           std::uint64_t limit = std::uint64_t{256} << 20);

/// A new content for a file, which takes the place of the old one as a whole: a reader sees the old content or the new one,
/// also after a crash or with a full disk. It is made under a name of its own in the same folder (.alma-....tmp). Without
/// commit() the file stays as it was.
/// What is arranged is kept. A symbolic link is followed (not one that another user has put into a shared folder such as
/// /tmp), and permissions and owner stay. A device, a pipe or a descriptor (/dev/stdout) is written to. A file that cannot
/// be replaced without a loss (it has other names, attributes or an owner that cannot be given, its folder is closed, it is
/// mounted by itself) is overwritten, once there is room for all of it.
class FileReplacement {
 public:
  explicit FileReplacement(const std::filesystem::path& path);
  ~FileReplacement();
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;

  void write(std::string_view piece);
  /// On return the new content is on the disk, under the file's name.
  void commit();

 private:
  bool begin_beside(const struct ::stat* existing);

  std::filesystem::path target_;
  std::optional<File> out_;          // the temporary file, or what is written to directly
  std::filesystem::path temporary_;  // empty if there is none
  std::string in_place_;             // what the file is to be overwritten with, where out_ is empty
};

/// A FileReplacement of one piece.
void write_atomically(const std::filesystem::path& path, std::string_view text);

/// True for the name of a FileReplacement's temporary file: in a folder of one writer, that of a killed process.
bool is_temporary(const std::filesystem::path& path);

/// Waits until the names in a folder are on the disk. Does nothing where that cannot be asked for, as on network mounts.
void sync_folder(const std::filesystem::path& folder);

/// The reason behind errno: "No space left on device".
std::string system_error_text(int error);

}  // namespace alma
