#include "data/cifar.h"

#include <algorithm>

#include "base/error.h"
#include "data/file.h"

namespace alma {

namespace {
constexpr std::int64_t kPixels = 3 * 32 * 32;
constexpr int kClasses = 10;
}  // namespace

CifarReader::CifarReader(const std::string& name, std::int64_t expected) {
  set_.name = name;
  set_.channels = 3;
  set_.height = set_.width = 32;
  set_.classes = kClasses;
  set_.pixels.reserve(static_cast<std::size_t>(expected * kPixels));
  set_.labels.reserve(static_cast<std::size_t>(expected));
}

void CifarReader::take(const std::string& path, std::span<const std::uint8_t> piece) {
  while (!piece.empty()) {
    if (pixels_missing_ == 0) {
      const int label = piece.front();
      if (label >= kClasses)
        fail(ErrorKind::data, path, ": record ", records_, " has label ", label,
             ", expected 0 .. 9; damaged, or not a file of CIFAR-10's binary version");
      set_.labels.push_back(label);
      pixels_missing_ = kPixels;
      ++records_;
      piece = piece.subspan(1);
    }
    const auto count = std::min(piece.size(), static_cast<std::size_t>(pixels_missing_));
    set_.pixels.insert(set_.pixels.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
    pixels_missing_ -= static_cast<std::int64_t>(count);
    piece = piece.subspan(count);
  }
}

void CifarReader::end_file(const std::string& path) {
  if (pixels_missing_ != 0)
    fail(ErrorKind::data, path, ": ends within record ", records_ - 1, ", ", pixels_missing_, " of its ", kPixels,
         " pixels are missing; get the file again");
  if (records_ == 0) fail(ErrorKind::data, path, ": holds no record");
  records_ = 0;
}

void read_cifar_file(const std::string& path, CifarReader& reader) {
  read_pieces(path, kLargestFile, [&](std::span<const std::uint8_t> piece) { reader.take(path, piece); });
  reader.end_file(path);
}

}  // namespace alma
