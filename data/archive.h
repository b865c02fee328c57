#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "data/part_file.h"
#include "data/published.h"

namespace alma {

/// A function that takes the next piece of files[file].
using TakeFilePiece = std::function<void(std::size_t file, std::span<const std::uint8_t> piece)>;

/// Reads the named files from a tar archive (plain, gzip or xz), wherever they are in it, in the order of the archive. The
/// data is verified once this returns: sizes and checksums are compared at the end of each file. Throws
/// Error(ErrorKind::data) for an archive that is damaged, lacks a file, or holds it twice or with another size or content;
/// and for entries that no honest archive of data has: absolute paths or paths with "..", links, devices and other special
/// files, much more content than the files.
void read_archive(const std::filesystem::path& archive, const std::vector<PublishedFile>& files, const TakeFilePiece& take);

/// Unpacks the named files, as read_archive() does, into part files for `folder`, in the order of `files`. Nothing
/// else is written.
std::vector<std::unique_ptr<PartFile>> extract(const std::filesystem::path& archive, const std::vector<PublishedFile>& files,
                                               const std::filesystem::path& folder);

}  // namespace alma
