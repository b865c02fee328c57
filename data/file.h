#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/checksum.h"

namespace alma {

/// The largest unpacked file that is accepted: no data set that is read through here comes near it, but a damaged or
/// malicious file may.
inline constexpr std::int64_t kLargestFile = std::int64_t{4} << 30;

/// The content of a file, unpacked piece by piece: gzip, xz and zstd are recognised by their first bytes (not by the name),
/// all members of a concatenated file are read, anything else is taken as it is. `take` gets the pieces in order. Throws
/// Error(ErrorKind::data) that names the file and what was found: missing, a folder, not readable, empty, truncated,
/// checksum mismatch, damaged, bytes after the end, or more than `limit` bytes once unpacked. Damage may be found after some
/// pieces were taken, so the pieces may not be trusted before this returns.
void read_pieces(const std::string& path, std::int64_t limit,
                 const std::function<void(std::span<const std::uint8_t>)>& take);

/// The whole unpacked content of a file in memory. Throws as read_pieces() does.
std::vector<std::uint8_t> read_file(const std::string& path, std::int64_t limit = kLargestFile);

}  // namespace alma
