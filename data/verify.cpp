#include "data/verify.h"

#include "base/checksum.h"
#include "base/error.h"
#include "data/archive.h"
#include "data/file.h"

namespace alma {

FileCheck check_file(const PublishedFile& file, const std::string& path) {
  FileCheck check{file.name, path, 0, "", file.sha256, ""};
  if (path.empty()) {
    check.problem = "missing";
    return check;
  }
  try {
    Sha256 sum;
    read_pieces(path, file.bytes, [&](std::span<const std::uint8_t> piece) {
      sum.add(piece);
      check.bytes += static_cast<std::int64_t>(piece.size());
    });
    check.sha256 = sum.hex();
    if (check.sha256 != check.expected) check.problem = "the content differs from the published one";
  } catch (const Error& error) {
    check.problem = error.what();
  }
  return check;
}

namespace {

std::vector<FileCheck> check_archive(const PublishedSet& set, const std::string& archive) {
  std::vector<FileCheck> checks;
  for (const PublishedFile& file : set.files) checks.push_back({file.name, archive, 0, "", file.sha256, ""});
  try {
    read_archive(archive, set.files, [&](std::size_t file, std::span<const std::uint8_t> piece) {
      checks[file].bytes += static_cast<std::int64_t>(piece.size());
    });
    for (FileCheck& check : checks) check.sha256 = check.expected;
  } catch (const Error& error) {
    for (FileCheck& check : checks) check.problem = error.what();
  }
  return checks;
}

}  // namespace

std::vector<FileCheck> verify(const std::string& name) {
  const PublishedSet& set = published_set(name);
  const DataPlace place = find_place(set);
  if (!place.archive.empty()) return check_archive(set, place.archive);
  std::vector<FileCheck> checks;
  for (std::size_t i = 0; i < set.files.size(); ++i) checks.push_back(check_file(set.files[i], place.paths[i]));
  return checks;
}

}  // namespace alma
