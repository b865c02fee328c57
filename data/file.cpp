#include "data/file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "data/unpack.h"

namespace alma {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using OpenFile = std::unique_ptr<std::FILE, CloseFile>;

OpenFile open_file(const std::string& path) {
  std::error_code no_throw;
  if (std::filesystem::is_directory(path, no_throw)) fail(ErrorKind::data, path, ": a folder; expected a file");
  OpenFile file(std::fopen(path.c_str(), "rb"));
  if (!file) fail(ErrorKind::data, path, ": cannot be opened: ", std::strerror(errno));
  return file;
}

/// Fills the buffer, or reads up to the end of the file.
std::span<const std::uint8_t> next_piece(std::FILE* file, std::span<std::uint8_t> buffer, const std::string& path) {
  const std::size_t bytes = std::fread(buffer.data(), 1, buffer.size(), file);
  if (std::ferror(file)) fail(ErrorKind::data, path, ": cannot be read: ", std::strerror(errno));
  return buffer.first(bytes);
}

}  // namespace

void read_pieces(const std::string& path, std::int64_t limit,
                 const std::function<void(std::span<const std::uint8_t>)>& take) {
  const OpenFile file = open_file(path);
  std::vector<std::uint8_t> buffer(kPieceBytes);
  auto piece = next_piece(file.get(), buffer, path);
  if (piece.empty()) fail(ErrorKind::data, path, ": empty file; get it again");

  std::int64_t unpacked = 0;
  const TakePiece take_within_limit = [&](std::span<const std::uint8_t> bytes) {
    unpacked += static_cast<std::int64_t>(bytes.size());
    if (unpacked > limit)
      fail(ErrorKind::data, path, ": holds more than ", limit, " bytes once unpacked; not the file that was expected");
    take(bytes);
  };
  const auto unpacker = make_unpacker(piece, path);
  for (; !piece.empty(); piece = next_piece(file.get(), buffer, path)) unpacker->feed(piece, take_within_limit);
  unpacker->finish();
  if (unpacked == 0) fail(ErrorKind::data, path, ": empty once unpacked; get it again");
}

std::vector<std::uint8_t> read_file(const std::string& path, std::int64_t limit) {
  std::vector<std::uint8_t> content;
  read_pieces(path, limit,
              [&](std::span<const std::uint8_t> piece) { content.insert(content.end(), piece.begin(), piece.end()); });
  return content;
}

}  // namespace alma
