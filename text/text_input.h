#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/files.h"
#include "data/unpack.h"

namespace alma {

/// A text that was read, as a corpus records what it was made of.
struct TextSource {
  std::string path;
  std::int64_t bytes = 0;  // unpacked
  std::string sha256;      // of the unpacked content
};

/// A path for messages: "-" is "standard input".
std::string shown_path(const std::string& path);

/// The content of one text file, or of standard input, from its first byte to its last, in bounded memory: gzip, xz and
/// zstd are unpacked, and a byte-order mark of UTF-8 at the beginning is left out. Throws Error (data), with path and place,
/// for what is not there or cannot be read, damaged packing, UTF-16 and UTF-32, NUL bytes (binary data), and a file whose
/// size or time of modification changes while it is read. Whether the text is valid UTF-8 is not looked at.
class TextInput {
 public:
  /// "-" is standard input; pipes and devices are read as they come.
  explicit TextInput(const std::string& path);

  /// Appends the next piece, at least a byte and below 20 MiB. Returns false, once, at the end.
  bool append_to(std::string& text);
  /// The unpacked bytes so far, with a byte-order mark.
  std::int64_t bytes() const { return bytes_; }
  /// What was read, after the end.
  TextSource source() const;

 private:
  void unpack_some(std::string& text);
  void require_unchanged() const;
  void check_beginning(std::string& text, std::size_t from);

  std::string path_;
  File file_;
  bool plain_ = false;                  // a file, whose size is known
  std::uint64_t size_ = 0, read_ = 0;   // packed
  std::int64_t modified_ = 0;           // nanoseconds
  std::unique_ptr<Unpacker> unpacker_;  // none before the first byte
  std::vector<std::uint8_t> packed_;
  std::size_t used_ = 0;  // of packed_
  Sha256 sum_;
  std::int64_t bytes_ = 0;
  bool begun_ = false, ended_ = false;
};

}  // namespace alma
