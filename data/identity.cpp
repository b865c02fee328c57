#include "data/identity.h"

#include <sys/stat.h>

#include <filesystem>
#include <sstream>

#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"
#include "data/file.h"
#include "data/search.h"

namespace alma {
namespace {

namespace fs = std::filesystem;

/// The unpacked content of a file.
struct Content {
  std::int64_t bytes = 0;
  std::string sha256;
};

Content read_content(const std::string& path) {
  Sha256 sum;
  Content content;
  read_pieces(path, kLargestFile, [&](std::span<const std::uint8_t> piece) {
    sum.add(piece);
    content.bytes += static_cast<std::int64_t>(piece.size());
  });
  content.sha256 = sum.hex();
  return content;
}

/// The place where a file's checksum is remembered, under a name that changes with the file. The change time cannot
/// be set back.
fs::path memory_of(const std::string& path) {
  const std::string cache = cache_folder();
  struct stat status {};
  std::error_code error;
  const fs::path place = fs::canonical(path, error);
  if (cache.empty() || error || ::stat(path.c_str(), &status) != 0) return {};
  std::ostringstream key;
  key << place.string() << '\n' << status.st_dev << ' ' << status.st_ino << ' ' << status.st_size;
  for (const timespec& time : {status.st_mtim, status.st_ctim}) key << ' ' << time.tv_sec << '.' << time.tv_nsec;
  return fs::path(cache) / "verified" / sha256(key.str());
}

Content content_of(const std::string& path) {
  const fs::path memory = memory_of(path);
  try {
    if (const auto text = memory.empty() ? std::nullopt : read_plain_file(memory, 1000)) {
      Content content;
      std::istringstream(*text) >> content.bytes >> content.sha256;
      if (content.sha256.size() == 64) return content;
    }
  } catch (const Error&) {  // a checksum that cannot be remembered is computed again
  }
  const Content content = read_content(path);
  // A file that changed while it was read is not remembered.
  if (memory.empty() || memory_of(path) != memory) return content;
  try {
    std::error_code ignored;
    fs::create_directories(memory.parent_path(), ignored);
    write_atomically(memory, std::to_string(content.bytes) + ' ' + content.sha256 + '\n');
  } catch (const Error&) {  // a cache that cannot be written costs time alone
  }
  return content;
}

/// "train-images-idx3-ubyte of mnist": the published file with this content; empty if there is none.
std::string known_as(const std::string& sum) {
  for (const PublishedSet& set : published_sets())
    for (const PublishedFile& file : set.files)
      if (file.sha256 == sum) return file.name + " of " + set.name;
  return "";
}

}  // namespace

std::string identify(const PublishedSet& set, const std::vector<std::string>& paths) {
  std::string foreign;
  for (std::size_t i = 0; i < set.files.size(); ++i) {
    const PublishedFile& expected = set.files[i];
    const Content found = content_of(paths[i]);
    if (found.sha256 == expected.sha256) continue;
    const std::string other = known_as(found.sha256);
    if (!other.empty() || found.bytes == expected.bytes)
      fail(ErrorKind::data, paths[i], ": ", other.empty() ? "damaged" : "this is " + other, ": its content has SHA-256 ",
           found.sha256, ", expected ", expected.sha256, " (", expected.name, " of ", set.name,
           "); put the right file there, or ", how_to_get(set), ". For your own data use stream.dataset = \"idx\"");
    foreign += (foreign.empty() ? "" : ", ") + paths[i] + " (" + std::to_string(found.bytes) +
               " bytes, published: " + std::to_string(expected.bytes) + ")";
  }
  if (foreign.empty()) return "";
  return "stream.dataset = \"" + set.name + "\", but these are not its published files: " + foreign +
         "; the numbers of this run are not those of " + set.name;
}

}  // namespace alma
