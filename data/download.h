#pragma once
#include <optional>

#include "data/transfer.h"

namespace alma {

/// Fills `part` from one of the mirrors, continuing after the bytes that it already has if the server supports that.
/// Redirects are followed (at most 10, http and https only) and certificates are verified. A file that comes from several
/// responses and is refused by `accept` is fetched once more as a whole, since its pieces may be of two versions. Returns
/// the position in `urls` of the mirror that served the file, or nothing if stop() ended it. Throws Error(ErrorKind::data)
/// with every mirror and its reason if none serves the file; the bytes received stay in `part`.
std::optional<std::size_t> download(const Download& wanted, PartFile& part, const DownloadPatience& patience,
                                    const TransferWatch& watch);

}  // namespace alma
