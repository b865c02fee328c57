#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace alma {

/// As much as is read, or unpacked, at a time.
inline constexpr std::size_t kPieceBytes = 64 * 1024;

/// A function that takes the next piece of the unpacked content.
using TakePiece = std::function<void(std::span<const std::uint8_t>)>;

/// Unpacks a file that it receives in pieces.
class Unpacker {
 public:
  virtual ~Unpacker() = default;
  /// Unpacks the next bytes of the file and passes the result to `take`. Throws Error(ErrorKind::data) that names the file.
  virtual void feed(std::span<const std::uint8_t> packed, const TakePiece& take) = 0;
  /// To be called at the end of the file. Throws Error(ErrorKind::data) if its content is incomplete.
  virtual void finish() = 0;
};

/// The unpacker for a file that begins with `head` (6 bytes or all there are): gzip, xz, zstd, or nothing
/// to unpack.
std::unique_ptr<Unpacker> make_unpacker(std::span<const std::uint8_t> head, const std::string& path);

}  // namespace alma
