#include "tests/base/system_calls.h"

#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace alma::test {

SystemAnswers& system_answers() {
  static SystemAnswers answers;
  return answers;
}

namespace {

int refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace
}  // namespace alma::test

using alma::test::refuse;
using alma::test::system_answers;

extern "C" int fsync(int descriptor) {
  struct stat status {};
  const bool folder = ::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode);
  const int error = folder ? system_answers().sync_of_folder : system_answers().sync_of_file;
  return error != 0 ? refuse(error) : static_cast<int>(::syscall(SYS_fsync, descriptor));
}

extern "C" int flock(int descriptor, int operation) noexcept {
  const int error = system_answers().lock;
  return error != 0 ? refuse(error) : static_cast<int>(::syscall(SYS_flock, descriptor, operation));
}

extern "C" ssize_t getrandom(void* buffer, size_t bytes, unsigned flags) {
  std::vector<std::uint64_t>& next = system_answers().random;
  if (next.empty() || bytes != sizeof next[0]) return ::syscall(SYS_getrandom, buffer, bytes, flags);
  std::memcpy(buffer, &next[0], bytes);
  next.erase(next.begin());
  return static_cast<ssize_t>(bytes);
}
