#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/images.h"

namespace alma {

/// Reads the images of an IDX file: bytes [count, height, width] (magic 00 00 08 03, one channel) or [count, channels,
/// height, width] (00 00 08 04). The file may be packed (data/file.h). ImageSet::labels and the name stay empty. Throws
/// Error(ErrorKind::data) that names the file: wrong magic (and a labels file given for images), zero images, sizes of zero,
/// more than kMostChannels channels (as when the channels come last), fewer or more bytes than the header promises, and the
/// errors of read_pieces().
ImageSet read_idx_images(const std::string& path);

/// Reads the labels of an IDX file: bytes [count] (magic 00 00 08 01). Throws as read_idx_images() does.
std::vector<std::int32_t> read_idx_labels(const std::string& path);

/// Reads images with their labels. `classes` 0 means the largest label + 1. Throws Error(ErrorKind::data) also if the counts
/// differ or a label is not below `classes`.
ImageSet read_idx_set(const std::string& name, const std::string& images_path, const std::string& labels_path, int classes);

}  // namespace alma
