#include "base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace alma {

namespace {

[[noreturn]] void fail_to(const char* what, const std::filesystem::path& path, int error) {
  const char* advice = error == ENOSPC || error == EDQUOT ? "; make room, then go on with --resume" : "";
  fail("cannot ", what, ' ', path.string(), ": ", system_error_text(error), advice);
}

}  // namespace

std::string system_error_text(int error) { return std::generic_category().message(error); }

File::File(const std::filesystem::path& path, int flags)
    : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) fail_to("open", path, errno);
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void File::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = ::write(descriptor_, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail_to("write", path_, done < 0 ? errno : ENOSPC);
    text.remove_prefix(static_cast<std::size_t>(done));
  }
}

void File::sync() {
  if (::fsync(descriptor_) != 0) fail_to("write", path_, errno);
}

std::optional<std::string> read_text(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  std::string text;
  char piece[1 << 16];
  ssize_t got;
  while ((got = ::read(descriptor, piece, sizeof piece)) != 0) {
    if (got > 0) {
      text.append(piece, static_cast<std::size_t>(got));
    } else if (errno != EINTR) {
      const int error = errno;
      ::close(descriptor);
      errno = error;
      return std::nullopt;
    }
  }
  ::close(descriptor);
  return text;
}

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  try {
    File file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    file.write(text);
    file.sync();
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail_to("write", path, errno);
  sync_folder(path.parent_path());
}

void sync_folder(const std::filesystem::path& folder) {
  File file(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  file.sync();
}

}  // namespace alma
