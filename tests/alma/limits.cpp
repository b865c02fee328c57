#include "tests/alma/limits.h"

#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace alma::test {

FileSizeLimit::FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
  ::getrlimit(RLIMIT_FSIZE, &before_);
  const rlimit limit{bytes, before_.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

FileSizeLimit::~FileSizeLimit() {
  ::setrlimit(RLIMIT_FSIZE, &before_);
  ::signal(SIGXFSZ, handler_);
}

SmallDisk::SmallDisk(std::filesystem::path folder, int kibibytes) : folder_(std::move(folder)) {
  std::filesystem::create_directories(folder_);
  const std::string size = "size=" + std::to_string(kibibytes) + "k";
  if (::mount("tmpfs", folder_.c_str(), "tmpfs", 0, size.c_str()) != 0)
    problem_ = std::string("cannot mount a small file system: ") + std::strerror(errno);
}

SmallDisk::~SmallDisk() {
  if (problem_.empty()) ::umount2(folder_.c_str(), MNT_DETACH);
}

void SmallDisk::fill(int kibibytes) const {
  std::ofstream file(folder_ / "filler", std::ios::binary | std::ios::app);
  const std::string block(1024, 'x');
  while (std::filesystem::space(folder_).available / 1024 > static_cast<std::uintmax_t>(kibibytes) &&
         file.write(block.data(), 1024))
    file.flush();
}

}  // namespace alma::test
