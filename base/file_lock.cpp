#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "base/error.h"

namespace alma {

FileLock::FileLock(const std::filesystem::path& path) : file_(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_APPEND) {}

FileLock::State FileLock::take() {
  if (state_ == State::held) return state_;
  int code;
  do code = ::flock(file_.descriptor(), LOCK_EX | LOCK_NB);
  while (code != 0 && errno == EINTR);
  if (code == 0) return state_ = State::held;
  switch (errno) {
    case EWOULDBLOCK: return state_ = State::busy;
    case ENOLCK:
    case ENOSYS:
    case ENOTSUP:
    case EINVAL: return state_ = State::unsupported;
    default: fail("cannot lock ", file_.path().string(), ": ", system_error_text(errno));
  }
}

void FileLock::write(std::string_view text) {
  file_.truncate(0);
  file_.write(text);
}

}  // namespace alma
