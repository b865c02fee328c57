#pragma once
#include <optional>

#include "data/transfer.h"

namespace alma {

/// Fills `part` from one of the mirrors, going on behind what it holds already if the server can do that. Redirects are
/// followed (at most 10, http and https only) and certificates are verified. A file that was joined from several responses
/// and is refused by `accept` is fetched once more as a whole: its pieces may be of two versions.
/// Returns the position in `urls` of the mirror that served the file, or nothing if stop() ended it. Throws
/// Error(ErrorKind::data) with every mirror and its reason if none serves it; what was received stays in `part`.
std::optional<std::size_t> download(const Download& wanted, PartFile& part, const DownloadPatience& patience,
                                    const TransferWatch& watch);

}  // namespace alma
