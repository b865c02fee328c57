#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "data/images.h"

namespace alma {

/// Takes files of CIFAR-10's binary version (Krizhevsky 2009) in pieces: records of a label byte and 3,072 pixels, 32 x 32
/// of red, then green, then blue, row by row. Pixels are stored in the set as they arrive, without a second copy.
class CifarReader {
 public:
  /// `expected`: the number of images, so that memory is allocated once; 0: unknown.
  CifarReader(const std::string& name, std::int64_t expected);
  /// `path` is for messages. Throws Error(ErrorKind::data) that names the file and the record for a label of 10 or more.
  void take(const std::string& path, std::span<const std::uint8_t> piece);
  /// To be called at the end of a file. Throws Error(ErrorKind::data) if it has no record, or ends within one.
  void end_file(const std::string& path);
  ImageSet finish() { return std::move(set_); }

 private:
  ImageSet set_;
  std::int64_t pixels_missing_ = 0;  // of the current record
  std::int64_t records_ = 0;         // of the current file
};

/// Adds the records of one file (plain, gzip or xz; data/file.h) to the reader.
void read_cifar_file(const std::string& path, CifarReader& reader);

}  // namespace alma
