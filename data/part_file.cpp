#include "data/part_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/error.h"

namespace alma {
namespace {

constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW;

}  // namespace

PartFile::PartFile(std::filesystem::path target, Unfinished unfinished)
    : target_(std::move(target)),
      path_(target_.string() + ".part"),
      unfinished_(unfinished),
      file_(path_, kFlags | (unfinished == Unfinished::remove ? O_TRUNC : 0)),
      bytes_(static_cast<std::int64_t>(file_.size())) {}

PartFile::~PartFile() {
  if (!published_ && (bytes_ == 0 || unfinished_ == Unfinished::remove)) ::unlink(path_.c_str());
}

void PartFile::append(std::span<const std::uint8_t> piece) {
  file_.write({reinterpret_cast<const char*>(piece.data()), piece.size()});
  bytes_ += static_cast<std::int64_t>(piece.size());
}

void PartFile::cut(std::int64_t bytes) {
  file_.truncate(static_cast<std::uint64_t>(bytes));
  bytes_ = bytes;
}

void PartFile::publish() {
  file_.sync();
  if (::rename(path_.c_str(), target_.c_str()) != 0) fail("cannot write ", target_.string(), ": ", system_error_text(errno));
  published_ = true;
  sync_folder(target_.parent_path());
}

}  // namespace alma
