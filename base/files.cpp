#include "base/files.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace alma {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail_to(const char* what, const fs::path& path, int error) {
  const char* advice =
      error == ENOSPC || error == EDQUOT ? "; free some space, then repeat the command (for a run, with --resume)" : "";
  fail("cannot ", what, ' ', path.string(), ": ", system_error_text(error), advice);
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return S_ISREG(mode) ? "a file" : "a device";
}

// Errors that mean "not supported here"; a failure of the disk would be EIO.
bool is_unsupported(int error) { return error == EINVAL || error == ENOTSUP || error == ENOSYS; }

}  // namespace

std::string system_error_text(int error) { return std::generic_category().message(error); }

File::File(const fs::path& path, int flags, Kind kind, unsigned mode) : path_(path), descriptor_(-1) {
  struct stat status {};
  const auto require_plain = [&] {
    if (!S_ISREG(status.st_mode))
      fail("cannot open ", path.string(), ": it is ", kind_of(status.st_mode), ", expected a plain file");
  };
  if (kind == Kind::plain) {
    // Checked before the file is opened, since opening a device has effects; and again afterwards, since it may be another
    // file by then.
    if (::stat(path.c_str(), &status) == 0) require_plain();
    flags |= O_NONBLOCK | O_NOCTTY;
  }
  do descriptor_ = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0) fail_to("open", path, errno);
  if (kind == Kind::any || (::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode))) return;
  ::close(descriptor_);
  require_plain();
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File::File(File&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

std::uint64_t File::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_to("get the size of", path_, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

std::size_t File::read(void* data, std::size_t bytes) {
  std::size_t got = 0;
  while (got < bytes) {
    const ssize_t piece = ::read(descriptor_, static_cast<char*>(data) + got, bytes - got);
    if (piece < 0 && errno == EINTR) continue;
    if (piece < 0) fail_to("read", path_, errno);
    if (piece == 0) break;
    got += static_cast<std::size_t>(piece);
  }
  return got;
}

void File::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = ::write(descriptor_, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail_to("write", path_, done < 0 ? errno : ENOSPC);
    text.remove_prefix(static_cast<std::size_t>(done));
  }
}

void File::truncate(std::uint64_t bytes) {
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) fail_to("cut", path_, errno);
}

void File::sync() {
  if (::fsync(descriptor_) != 0 && !is_unsupported(errno)) fail_to("write", path_, errno);
}

std::optional<std::string> read_text(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  const File file(path, descriptor, nullptr);
  std::string text;
  char piece[1 << 16];
  ssize_t got;
  while ((got = ::read(descriptor, piece, sizeof piece)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    text.append(piece, static_cast<std::size_t>(got));
  }
  return text;
}

std::optional<File> open_plain_file(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    fail_to("read", path, errno);
  }
  if (!S_ISREG(status.st_mode))
    fail(ErrorKind::data, path.string(), " is ", kind_of(status.st_mode), ", expected a plain file");
  return std::optional<File>(std::in_place, path, O_RDONLY);
}

std::optional<std::string> read_plain_file(const fs::path& path, std::uint64_t limit) {
  std::optional<File> file = open_plain_file(path);
  if (!file) return std::nullopt;
  const std::uint64_t bytes = file->size();
  if (bytes > limit) fail(ErrorKind::data, path.string(), " has ", bytes, " bytes, expected at most ", limit);
  std::string text(bytes, '\0');
  text.resize(file->read(text.data(), text.size()));
  return text;
}

// ---- replacing files ----------------------------------------------------------------------------------------------------

namespace {

/// The target of a name.
struct Target {
  fs::path path;        // after symbolic links
  int descriptor = -1;  // if the target is a descriptor of this process
  bool exists = false;
  struct stat status {};
};

// The descriptor of a path such as /proc/self/fd/1, the target of /dev/stdout: opening it by name would begin at
// the file's start.
int own_descriptor(const fs::path& link) {
  const std::string name = link.filename().string();
  if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != std::string::npos) return -1;
  std::error_code none;
  const fs::path folder = fs::canonical(link.parent_path(), none);
  for (const char* own : {"/proc/self/fd", "/proc/thread-self/fd"})
    if (!none && folder == fs::canonical(own, none)) return std::stoi(name);
  return -1;
}

// The kernel's rule for links in shared folders (fs.protected_symlinks), applied here even if it is not set.
void require_trusted(const fs::path& link, const struct stat& status) {
  struct stat folder {};
  const fs::path parent = link.has_parent_path() ? link.parent_path() : ".";
  if (::stat(parent.c_str(), &folder) != 0) return;
  const bool shared = (folder.st_mode & S_ISVTX) != 0 && (folder.st_mode & S_IWOTH) != 0;
  if (shared && status.st_uid != ::geteuid() && status.st_uid != folder.st_uid)
    fail("cannot write ", link.string(), ": it is a symbolic link of another user in a shared folder; choose another name");
}

Target resolve(const fs::path& path) {
  Target target;
  target.path = path;
  for (int links = 0; links < 40; ++links) {
    if (::lstat(target.path.c_str(), &target.status) != 0) {
      if (errno != ENOENT) fail_to("write", path, errno);
      return target;
    }
    if (!S_ISLNK(target.status.st_mode)) {
      target.exists = true;
      return target;
    }
    require_trusted(target.path, target.status);
    target.descriptor = own_descriptor(target.path);
    if (target.descriptor >= 0) return target;
    std::error_code error;
    const fs::path next = fs::read_symlink(target.path, error);
    if (error) fail_to("write", path, error.value());
    target.path = target.path.parent_path() / next;  // which is `next` if that is absolute
  }
  fail_to("write", path, ELOOP);
}

// Whether a file has extended attributes such as access lists, which a new file would lack. Those of the system's policy do
// not count: the system creates them again.
bool has_attributes(const fs::path& path) {
  char names[4096];
  const ssize_t length = ::listxattr(path.c_str(), names, sizeof names);
  if (length < 0) return errno == ERANGE;
  for (const char* name = names; name < names + length; name += std::string_view(name).size() + 1)
    if (!std::string_view(name).starts_with("security.")) return true;
  return false;
}

std::string random_name() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number))
    number = static_cast<std::uint64_t>(::getpid());
  char name[40];
  std::snprintf(name, sizeof name, ".alma-%016llx.tmp", static_cast<unsigned long long>(number));
  return name;
}

// Reserves room first, so that a full disk does not cost the old content.
void overwrite(const fs::path& path, std::string_view text) {
  File file(path, O_WRONLY);
  const std::uint64_t before = file.size();
  if (text.size() > before) {
    const int error =
        ::posix_fallocate(file.descriptor(), static_cast<off_t>(before), static_cast<off_t>(text.size() - before));
    if (error != 0 && !is_unsupported(error)) {
      file.truncate(before);
      fail_to("write", path, error);
    }
  }
  file.write(text);
  file.truncate(text.size());
  file.sync();
}

}  // namespace

FileReplacement::FileReplacement(const fs::path& path) {
  const Target target = resolve(path);
  target_ = target.path;
  if (target.descriptor >= 0) {
    const int copy = ::fcntl(target.descriptor, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) fail_to("write", path, errno);
    out_.emplace(path, copy, nullptr);
  } else if (target.exists && !S_ISREG(target.status.st_mode)) {
    if (S_ISDIR(target.status.st_mode)) fail_to("write", path, EISDIR);
    out_.emplace(target_, O_WRONLY | O_NOCTTY, File::Kind::any);
  } else {
    if (target.exists && ::faccessat(AT_FDCWD, target_.c_str(), W_OK, AT_EACCESS) != 0) fail_to("write", path, errno);
    begin_beside(target.exists ? &target.status : nullptr);
  }
}

// Returns false if the file must be overwritten instead.
bool FileReplacement::begin_beside(const struct stat* existing) {
  if (existing && (existing->st_nlink > 1 || has_attributes(target_))) return false;
  const fs::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
  int descriptor, error;
  do {
    temporary_ = folder / random_name();
    descriptor = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, existing ? 0600 : 0644);
    error = errno;
  } while (descriptor < 0 && (error == EEXIST || error == EINTR));
  if (descriptor < 0) {
    temporary_.clear();
    if (existing && (error == EACCES || error == EPERM)) return false;
    fail_to("write", target_, error);
  }
  out_.emplace(target_, descriptor, nullptr);
  if (!existing) return true;
  struct stat made {};
  const bool same_owner =
      ::fstat(descriptor, &made) == 0 && made.st_uid == existing->st_uid && made.st_gid == existing->st_gid;
  if ((same_owner || ::fchown(descriptor, existing->st_uid, existing->st_gid) == 0) &&
      ::fchmod(descriptor, existing->st_mode & 07777) == 0)
    return true;
  out_.reset();
  ::unlink(temporary_.c_str());
  temporary_.clear();
  return false;
}

FileReplacement::~FileReplacement() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void FileReplacement::write(std::string_view piece) {
  if (out_)
    out_->write(piece);
  else
    in_place_.append(piece);
}

void FileReplacement::commit() {
  if (!out_) return overwrite(target_, in_place_);
  out_->sync();
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), target_.c_str()) == 0) {
    temporary_.clear();
  } else {
    // A mount point, another user's file in a shared folder, or a file system that cannot replace files by renaming.
    const int error = errno;
    const bool stays = error == EBUSY || error == EXDEV || error == EPERM || error == EACCES || error == EEXIST;
    const auto content = stays && fs::exists(target_) ? read_text(temporary_) : std::nullopt;
    if (!content) fail_to("write", target_, error);
    overwrite(target_, *content);
  }
  sync_folder(target_.parent_path());
}

void write_atomically(const fs::path& path, std::string_view text) {
  FileReplacement file(path);
  file.write(text);
  file.commit();
}

bool is_temporary(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".alma-") && name.ends_with(".tmp");
}

void sync_folder(const fs::path& folder) {
  const fs::path path = folder.empty() ? "." : folder;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0 && errno == EACCES) return;  // the folder is writable but not readable
  if (descriptor < 0) fail_to("open", path, errno);
  const File file(path, descriptor, nullptr);
  if (::fsync(descriptor) != 0 && !is_unsupported(errno) && errno != EBADF) fail_to("write", path, errno);
}

}  // namespace alma
