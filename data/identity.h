#pragma once
#include <string>
#include <vector>

#include "data/published.h"

namespace alma {

/// Checks that files with the names of a published set belong to that set. Their checksums are compared at the first use and
/// remembered in the user's cache, if it is writable, until a file changes (device, inode, size, times). Throws
/// Error(ErrorKind::data) that names the file and what to do if the file belongs to another set or is damaged: of the
/// published size with other content. Returns a warning about files of another size (the user's own data under these names,
/// or a subset), or nothing.
std::string identify(const PublishedSet& set, const std::vector<std::string>& paths);

}  // namespace alma
