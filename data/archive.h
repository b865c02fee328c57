#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "data/part_file.h"
#include "data/published.h"

namespace alma {

/// Takes the next piece of files[file].
using TakeFilePiece = std::function<void(std::size_t file, std::span<const std::uint8_t> piece)>;

/// Reads the named files out of a tar archive (plain, gzip or xz), wherever in it they are, one after the other in the order
/// of the archive. What was taken is right once this returns: sizes and checksums are compared as the files end.
/// Throws Error(ErrorKind::data) for an archive that is damaged, lacks a file or holds it twice or with another size or
/// content; and for what no honest archive of data holds: paths that are absolute or have "..", links, devices and other
/// special files, much more content than the files.
void read_archive(const std::filesystem::path& archive, const std::vector<PublishedFile>& files, const TakeFilePiece& take);

/// read_archive() into files that are to be published in `folder`, in the order of `files`. Nothing else is written.
std::vector<std::unique_ptr<PartFile>> extract(const std::filesystem::path& archive, const std::vector<PublishedFile>& files,
                                               const std::filesystem::path& folder);

}  // namespace alma
