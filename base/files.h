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
    plain,  // anything else (a pipe, a device, a folder) is an Error; opening never blocks
    any,    // files of any kind
  };

  /// Opens as open(2) does, always close-on-exec; `mode` is for new files.
  File(const std::filesystem::path& path, int flags, Kind kind = Kind::plain, unsigned mode = 0644);
  /// Takes ownership of a descriptor; `path` is for messages.
  File(std::filesystem::path path, int descriptor, std::nullptr_t) : path_(std::move(path)), descriptor_(descriptor) {}
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  std::uint64_t size() const;
  /// Reads up to that many bytes from where the last read ended; fewer only at the end of the file.
  std::size_t read(void* data, std::size_t bytes);
  /// Writes all bytes, after those that were written before.
  void write(std::string_view text);
  void truncate(std::uint64_t bytes);
  /// Waits until the content is on the disk, where the file system supports this.
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_;
};

/// The whole content of a file of any kind; nothing, with errno set, if it cannot be read. For files that a user has named.
std::optional<std::string> read_text(const std::filesystem::path& path);

/// Opens a plain file to read from; nothing if there is no file of that name. For files in a folder that may be damaged or
/// hostile. Throws Error: (data) if it is not a plain file; (failed) if it exists but cannot be read now, which says nothing
/// about its content.
std::optional<File> open_plain_file(const std::filesystem::path& path);

/// The whole content of such a file. Throws as open_plain_file() does, and Error (data) if the file is larger than `limit`.
std::optional<std::string> read_plain_file(const std::filesystem::path& path,
                                           std::uint64_t limit = std::uint64_t{256} << 20);

/// The replacement of a file's whole content: a reader sees the old content or the new one, even after a crash or with a
/// full disk. The new content is written under a temporary name in the same folder (.alma-....tmp). Without commit() the
/// file stays unchanged.
/// The user's arrangement is kept. A symbolic link is followed (except one that another user has put into a shared folder
/// such as /tmp), and permissions and owner stay. A device, a pipe or a descriptor (/dev/stdout) is written to. A file that
/// cannot be replaced without a loss (it has hard links, attributes or an owner that cannot be restored, its folder is not
/// writable, it is a mount point) is overwritten, once there is room for all of it.
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
  std::optional<File> out_;          // the temporary file, or the target that is written to directly
  std::filesystem::path temporary_;  // empty if there is none
  std::string in_place_;             // the new content of a file that is overwritten, where out_ is empty
};

/// Replaces a file's content by `text`, by a FileReplacement.
void write_atomically(const std::filesystem::path& path, std::string_view text);

/// Whether this is the name of a FileReplacement's temporary file; in a folder with one writer, a killed process
/// has left it.
bool is_temporary(const std::filesystem::path& path);

/// Waits until the names in a folder are on the disk. Does nothing where this is not supported, as on network mounts.
void sync_folder(const std::filesystem::path& folder);

/// The text of an errno: "No space left on device".
std::string system_error_text(int error);

}  // namespace alma
