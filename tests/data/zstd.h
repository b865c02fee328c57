#pragma once
#include "tests/data/files.h"

namespace alma::test {

/// A zstd frame with a checksum; its window has 2^window_log bytes (0: as the compressor likes).
Bytes zstd(const Bytes& content, int window_log = 0);
/// A frame without content that holds bytes for others (RFC 8878, 3.1.2).
Bytes zstd_skippable(const Bytes& content);

}  // namespace alma::test
