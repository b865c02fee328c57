#include "text/text_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>

#include "base/error.h"

namespace alma {
namespace {

constexpr std::size_t kSome = 64 * 1024;  // as much as is read at once
// As much as is unpacked at once: 4 bytes of zstd can make 128 KiB, these make 16 MiB.
constexpr std::size_t kSlice = 512;

File open_input(const std::string& path) {
  int descriptor;
  do
    descriptor =
        path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) fail(ErrorKind::data, shown_path(path), ": cannot be opened: ", system_error_text(errno));
  return {shown_path(path), descriptor, nullptr};
}

struct stat status_of(const File& file) {
  struct stat status {};
  if (::fstat(file.descriptor(), &status) != 0)
    fail(ErrorKind::data, file.path().string(), ": cannot be read: ", system_error_text(errno));
  return status;
}

std::int64_t modified(const struct stat& status) {
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

}  // namespace

std::string shown_path(const std::string& path) { return path == "-" ? "standard input" : path; }

TextInput::TextInput(const std::string& path) : path_(shown_path(path)), file_(open_input(path)) {
  const struct stat status = status_of(file_);
  if (S_ISDIR(status.st_mode)) fail(ErrorKind::data, path_, ": a folder; expected a text file");
  // Standard input may be a file that another program has read a part of.
  plain_ = S_ISREG(status.st_mode) && path != "-";
  size_ = static_cast<std::uint64_t>(status.st_size);
  modified_ = modified(status);
}

bool TextInput::append_to(std::string& text) {
  if (ended_) return false;
  const std::size_t from = text.size();
  // A byte-order mark has up to 4 bytes.
  while (!ended_ && text.size() - from < (begun_ ? 1 : 4)) unpack_some(text);
  const std::string_view piece = std::string_view(text).substr(from);
  sum_.add(piece);
  bytes_ += std::ssize(piece);
  if (!begun_) check_beginning(text, from);
  if (const auto nul = text.find('\0', from); nul != text.npos)
    fail(ErrorKind::data, path_, ": byte ", bytes_ - std::ssize(text) + static_cast<std::int64_t>(nul),
         " is NUL: binary data or UTF-16, expected text in UTF-8");
  return text.size() > from;
}

/// Unpacks a piece of about 64 KiB, or notices the end.
void TextInput::unpack_some(std::string& text) {
  if (used_ == packed_.size()) {
    packed_.resize(kSome);
    packed_.resize(file_.read(packed_.data(), packed_.size()));
    used_ = 0;
    read_ += packed_.size();
    if (packed_.empty()) {
      ended_ = true;
      require_unchanged();
      if (unpacker_) unpacker_->finish();
      return;
    }
    if (!unpacker_) unpacker_ = make_unpacker(packed_, path_);
  }
  const std::size_t enough = text.size() + kSome;
  while (used_ < packed_.size() && text.size() < enough) {
    const std::size_t bytes = std::min(kSlice, packed_.size() - used_);
    unpacker_->feed(std::span(packed_).subspan(used_, bytes), [&text](std::span<const std::uint8_t> made) {
      text.append(reinterpret_cast<const char*>(made.data()), made.size());
    });
    used_ += bytes;
  }
}

void TextInput::require_unchanged() const {
  if (!plain_) return;
  const struct stat now = status_of(file_);
  if (read_ == size_ && static_cast<std::uint64_t>(now.st_size) == size_ && modified(now) == modified_) return;
  fail(ErrorKind::data, path_, ": changed while it was read: it had ", size_, " bytes at the beginning, ", read_,
       " were read, and now it has ", now.st_size, "; repeat the command when nobody writes to it");
}

void TextInput::check_beginning(std::string& text, std::size_t from) {
  begun_ = true;
  const std::string_view head = std::string_view(text).substr(from);
  if (head.starts_with("\xff\xfe") || head.starts_with("\xfe\xff"))
    fail(ErrorKind::data, path_,
         ": text in UTF-16 or UTF-32, by its byte-order mark; expected UTF-8: convert it with iconv -t UTF-8");
  if (head.starts_with("\xef\xbb\xbf")) text.erase(from, 3);
}

TextSource TextInput::source() const { return {path_, bytes_, sum_.hex()}; }

}  // namespace alma
