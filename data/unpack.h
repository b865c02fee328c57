#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace alma {

/// Takes the next piece of an unpacked content.
using TakePiece = std::function<void(std::span<const std::uint8_t>)>;

/// Unpacks a file that is fed to it in pieces.
class Unpacker {
 public:
  virtual ~Unpacker() = default;
  /// The next bytes of the file; what they unpack to goes to `take`. Throws Error(ErrorKind::data) that names the file.
  virtual void feed(std::span<const std::uint8_t> packed, const TakePiece& take) = 0;
  /// The file has ended. Throws Error(ErrorKind::data) if its content has not.
  virtual void finish() = 0;
};

/// The unpacker for a file that begins with `head` (6 bytes or all there are): gzip, xz, or nothing to unpack.
std::unique_ptr<Unpacker> make_unpacker(std::span<const std::uint8_t> head, const std::string& path);

}  // namespace alma
