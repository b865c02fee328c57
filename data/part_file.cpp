#include "data/part_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace alma {
namespace {

[[noreturn]] void fail_to(const char* what, const std::filesystem::path& path) {
  const int error = errno;
  const char* advice = error == ENOSPC || error == EDQUOT ? "; make room, then give the same command again" : "";
  fail("cannot ", what, ' ', path.string(), ": ", std::strerror(error), advice);
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_to("open", folder);
  const int code = ::fsync(descriptor);
  ::close(descriptor);
  if (code != 0) fail_to("write", folder);
}

}  // namespace

PartFile::PartFile(std::filesystem::path target, Unfinished unfinished)
    : target_(std::move(target)), path_(target_.string() + ".part"), unfinished_(unfinished) {
  const int empty = unfinished == Unfinished::remove ? O_TRUNC : 0;
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | empty, 0644);
  if (descriptor_ < 0) fail_to("open", path_);
  struct stat status {};
  if (::fstat(descriptor_, &status) == 0) bytes_ = status.st_size;
}

PartFile::~PartFile() {
  ::close(descriptor_);
  if (!published_ && (bytes_ == 0 || unfinished_ == Unfinished::remove)) ::unlink(path_.c_str());
}

void PartFile::append(std::span<const std::uint8_t> piece) {
  while (!piece.empty()) {
    const ssize_t done = ::write(descriptor_, piece.data(), piece.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail_to("write", path_);
    bytes_ += done;
    piece = piece.subspan(static_cast<std::size_t>(done));
  }
}

void PartFile::restart() {
  if (::ftruncate(descriptor_, 0) != 0) fail_to("write", path_);
  bytes_ = 0;
}

void PartFile::publish() {
  if (::fsync(descriptor_) != 0) fail_to("write", path_);
  if (::rename(path_.c_str(), target_.c_str()) != 0) fail_to("write", target_);
  published_ = true;
  sync_folder(target_.parent_path());
}

}  // namespace alma
