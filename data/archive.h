#pragma once
#include <filesystem>
#include <memory>
#include <vector>

#include "data/part_file.h"
#include "data/published.h"

namespace alma {

/// Takes the named files out of a tar archive (plain, gzip or xz), wherever in it they are, and returns them, complete and
/// with the right checksum, to be published in `folder`, in the order of `files`. Nothing else is written.
/// Throws Error(ErrorKind::data) for an archive that is damaged, lacks a file or holds it twice or with another size or
/// content; and for what no honest archive of data holds: paths that are absolute or have "..", links, devices and other
/// special files, much more content than the files.
std::vector<std::unique_ptr<PartFile>> extract(const std::filesystem::path& archive, const std::vector<PublishedFile>& files,
                                               const std::filesystem::path& folder);

}  // namespace alma
