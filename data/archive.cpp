#include "data/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>

#include "base/checksum.h"
#include "base/error.h"
#include "data/unpack.h"

namespace alma {
namespace {

namespace fs = std::filesystem;

// The limit of other content: a readme, a list of classes. An archive that unpacks to much more is not a data set.
constexpr std::int64_t kMostOther = std::int64_t{64} << 20;
constexpr int kMostEntries = 10000;

class Reading {
 public:
  Reading(const fs::path& path, const std::vector<PublishedFile>& files, const TakeFilePiece& take)
      : path_(path), files_(files), take_(take), seen_(files.size()), archive_(archive_read_new()) {
    if (!archive_) fail("[archive] libarchive cannot start: out of memory");
    archive_read_support_filter_gzip(archive_.get());
    archive_read_support_filter_xz(archive_.get());
    archive_read_support_format_tar(archive_.get());
    if (archive_read_open_filename(archive_.get(), path.c_str(), kPieceBytes) != ARCHIVE_OK) damaged();
  }

  void run() {
    while (archive_entry* entry = next()) {
      require_harmless(entry);
      if (const PublishedFile* file = wanted(entry)) {
        read(static_cast<std::size_t>(file - files_.data()), entry);
      } else {
        count_other(entry);
      }
    }
    for (std::size_t i = 0; i < files_.size(); ++i)
      if (!seen_[i]) fail(ErrorKind::data, path_.string(), ": the archive lacks ", files_[i].name);
  }

 private:
  [[noreturn]] void damaged() const {
    const char* what = archive_error_string(archive_.get());
    fail(ErrorKind::data, path_.string(), ": not a tar archive, or damaged: ", what ? what : "it cannot be read");
  }

  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(archive_.get(), &entry);
    if (code == ARCHIVE_EOF) return nullptr;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) damaged();
    if (++entries_ > kMostEntries) refuse(entry, "comes after more entries than any data set has");
    return entry;
  }

  [[noreturn]] void refuse(archive_entry* entry, const std::string& what) const {
    const char* name = archive_entry_pathname(entry);
    fail(ErrorKind::data, path_.string(), ": the archive is refused: its entry \"", name ? name : "?", "\" ", what);
  }

  void require_harmless(archive_entry* entry) const {
    const char* name = archive_entry_pathname(entry);
    if (!name) refuse(entry, "has a name that cannot be read");
    const fs::path path = name;
    if (path.is_absolute()) refuse(entry, "has an absolute path");
    if (std::find(path.begin(), path.end(), "..") != path.end()) refuse(entry, "leaves the folder");
    if (archive_entry_hardlink(entry)) refuse(entry, "is a hard link");
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFLNK) refuse(entry, "is a symbolic link");
    if (type != AE_IFREG && type != AE_IFDIR) refuse(entry, "is neither a file nor a folder");
  }

  const PublishedFile* wanted(archive_entry* entry) const {
    if (archive_entry_filetype(entry) != AE_IFREG) return nullptr;
    const std::string name = fs::path(archive_entry_pathname(entry)).filename();
    for (const PublishedFile& file : files_)
      if (file.name == name) return &file;
    return nullptr;
  }

  void count_other(archive_entry* entry) {
    const std::int64_t bytes = archive_entry_size(entry);
    if (bytes < 0 || bytes > kMostOther - other_) refuse(entry, "does not belong to the data set and is too large");
    other_ += bytes;
  }

  void read(std::size_t index, archive_entry* entry) {
    const PublishedFile& file = files_[index];
    if (seen_[index]) refuse(entry, "occurs twice");
    seen_[index] = true;
    const std::int64_t announced = archive_entry_size(entry);
    if (announced != file.bytes)
      refuse(entry, "has " + std::to_string(announced) + " bytes, expected " + std::to_string(file.bytes));
    std::vector<std::uint8_t> buffer(kPieceBytes);
    Sha256 sum;
    std::int64_t bytes = 0;
    la_ssize_t got;
    while ((got = archive_read_data(archive_.get(), buffer.data(), buffer.size())) > 0) {
      const std::span<const std::uint8_t> piece(buffer.data(), static_cast<std::size_t>(got));
      bytes += got;
      if (bytes > file.bytes) refuse(entry, "holds more bytes than it announces");
      sum.add(piece);
      take_(index, piece);
    }
    if (got < 0) damaged();
    if (sum.hex() != file.sha256) refuse(entry, "differs from the published file");
  }

  struct Free {
    void operator()(archive* opened) const { archive_read_free(opened); }
  };

  const fs::path& path_;
  const std::vector<PublishedFile>& files_;
  const TakeFilePiece& take_;
  std::vector<bool> seen_;  // one per file
  std::unique_ptr<archive, Free> archive_;
  std::int64_t other_ = 0;
  int entries_ = 0;
};

}  // namespace

void read_archive(const fs::path& archive, const std::vector<PublishedFile>& files, const TakeFilePiece& take) {
  Reading(archive, files, take).run();
}

std::vector<std::unique_ptr<PartFile>> extract(const fs::path& archive, const std::vector<PublishedFile>& files,
                                               const fs::path& folder) {
  std::vector<std::unique_ptr<PartFile>> parts;
  for (const PublishedFile& file : files)
    parts.push_back(std::make_unique<PartFile>(folder / file.name, PartFile::Unfinished::remove));
  read_archive(archive, files, [&](std::size_t file, std::span<const std::uint8_t> piece) { parts[file]->append(piece); });
  return parts;
}

}  // namespace alma
