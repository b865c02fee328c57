#pragma once
#include <string>
#include <vector>

#include "data/published.h"

namespace alma {

/// Whether files that were found under the names of a published set are that set. Their sums are compared at the first use
/// and remembered in the user's cache, if that can be written, for as long as a file is untouched (device, inode, size,
/// times). Throws Error(ErrorKind::data) naming the file and what to do if it is another set's, or damaged: of the published
/// size with another content. Returns a warning about files of another size (data of one's own under these names, or a
/// part), or nothing.
std::string identify(const PublishedSet& set, const std::vector<std::string>& paths);

}  // namespace alma
