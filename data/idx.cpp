#include "data/idx.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <limits>
#include <span>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "data/file.h"

namespace alma {
namespace {

enum class IdxContent { images, labels };

std::string_view name_of(IdxContent content) { return content == IdxContent::images ? "images" : "labels"; }

std::string magic_expected(IdxContent content) {
  return content == IdxContent::images ? "00 00 08 03 or 00 00 08 04 (an IDX file of images)"
                                       : "00 00 08 01 (an IDX file of labels)";
}

std::string hex_bytes(std::span<const std::uint8_t> bytes) {
  std::ostringstream text;
  text << std::hex << std::setfill('0');
  for (std::size_t i = 0; i < bytes.size(); ++i) text << (i ? " " : "") << std::setw(2) << int{bytes[i]};
  return text.str();
}

std::string_view element_type(std::uint8_t code) {
  switch (code) {
    case 0x08: return "u8";
    case 0x09: return "i8";
    case 0x0b: return "i16";
    case 0x0c: return "i32";
    case 0x0d: return "f32";
    case 0x0e: return "f64";
    default: return "of an unknown type";
  }
}

/// A hint from the first bytes of a file that is not an IDX file.
std::string_view likely_file(std::span<const std::uint8_t> head) {
  if (head[0] == '<') return "; it looks like a web page, as a failed download leaves it";
  if (head[0] == 'P' && head[1] == 'K') return "; it looks like a ZIP archive: unpack it first";
  if (head[0] == 'B' && head[1] == 'Z') return "; it looks like a bzip2 file: unpack it first";
  return "";
}

/// Reads an IDX file in pieces: first the header, which is checked as soon as it is complete, then the elements. Bytes
/// beyond those that the header promises are counted but not stored, so a wrong header or a huge file costs no memory.
class IdxParser {
 public:
  IdxParser(IdxContent content, const std::string& path) : content_(content), path_(path) {}

  void take(std::span<const std::uint8_t> piece) {
    found_ += static_cast<std::int64_t>(piece.size());
    while (!piece.empty() && header_.size() < header_bytes()) {
      header_.push_back(piece.front());
      piece = piece.subspan(1);
      if (header_.size() == 4) check_magic();
      if (header_.size() == header_bytes()) parse_sizes();
    }
    const auto wanted = static_cast<std::size_t>(elements_) - bytes.size();
    const auto kept = piece.first(std::min(piece.size(), wanted));
    bytes.insert(bytes.end(), kept.begin(), kept.end());
  }

  void finish() {
    if (header_.size() < header_bytes())
      fail(ErrorKind::data, path_, ": too short: ", found_, " bytes, expected an IDX header of ", header_bytes());
    const std::int64_t promised = static_cast<std::int64_t>(header_bytes()) + elements_;
    if (found_ != promised)
      fail(ErrorKind::data, path_, found_ < promised ? ": too short: " : ": too long: ", found_, " bytes, but its header (",
           sizes_text(), ") promises ", promised, "; get the file again");
  }

  std::string sizes_text() const {
    std::ostringstream text;
    for (std::size_t i = 0; i < sizes.size(); ++i) text << (i ? " x " : "") << sizes[i];
    return text.str();
  }

  std::vector<std::int64_t> sizes;
  std::vector<std::uint8_t> bytes;

 private:
  std::size_t header_bytes() const { return header_.size() < 4 ? 4 : 4 + 4 * std::size_t{header_[3]}; }

  void check_magic() const {
    const std::string found = path_ + ": begins with " + hex_bytes(header_) + ", expected " + magic_expected(content_);
    if (header_[0] != 0 || header_[1] != 0) fail(ErrorKind::data, found, likely_file(header_));
    if (header_[2] != 0x08) fail(ErrorKind::data, found, "; its elements are ", element_type(header_[2]), ", expected u8");
    const int rank = header_[3];
    const bool is_images = rank == 3 || rank == 4, is_labels = rank == 1;
    if (content_ == IdxContent::images && is_labels) fail(ErrorKind::data, found, "; it is a labels file");
    if (content_ == IdxContent::labels && is_images) fail(ErrorKind::data, found, "; it is an images file");
    if (!is_images && !is_labels) fail(ErrorKind::data, found, "; it has ", rank, " dimensions");
  }

  void parse_sizes() {
    for (std::size_t at = 4; at < header_.size(); at += 4)
      sizes.push_back(std::int64_t{header_[at]} << 24 | header_[at + 1] << 16 | header_[at + 2] << 8 | header_[at + 3]);
    if (sizes[0] == 0) fail(ErrorKind::data, path_, ": holds 0 ", name_of(content_), ", expected at least 1");
    elements_ = 1;
    for (const std::int64_t size : sizes) {
      if (size == 0) fail(ErrorKind::data, path_, ": its header (", sizes_text(), ") gives a size of 0");
      if (size > std::numeric_limits<std::int32_t>::max() || elements_ > kLargestFile / size)
        fail(ErrorKind::data, path_, ": its header (", sizes_text(), ") promises more than ", kLargestFile,
             " bytes; damaged, or not an IDX file");
      elements_ *= size;
    }
  }

  IdxContent content_;
  const std::string& path_;
  std::vector<std::uint8_t> header_;
  std::int64_t elements_ = 0, found_ = 0;
};

IdxParser parse_idx(IdxContent content, const std::string& path) {
  IdxParser parser(content, path);
  read_pieces(path, kLargestFile, [&](std::span<const std::uint8_t> piece) { parser.take(piece); });
  parser.finish();
  return parser;
}

}  // namespace

namespace {

/// Checks the order [count, channels, height, width]; other orders, such as [count, height, width, channels], give sizes
/// that no image has.
void check_channels(const std::string& path, const IdxParser& idx) {
  if (idx.sizes.size() != 4) return;
  const std::int64_t channels = idx.sizes[1], height = idx.sizes[2], width = idx.sizes[3];
  const bool last = (width == 1 || width == 3 || width == 4) && channels == height && channels > width;
  if (channels <= kMostChannels && !last) return;
  fail(ErrorKind::data, path, ": its sizes ", idx.sizes_text(), " are read as count x channels x height x width, and give ",
       channels, " channels, expected at most ", kMostChannels,
       width <= kMostChannels ? "; the channels seem to stand last: write them before the height (in NumPy: "
                                "images.transpose(0, 3, 1, 2))"
                              : "; write a file with fewer channels");
}

}  // namespace

ImageSet read_idx_images(const std::string& path) {
  IdxParser idx = parse_idx(IdxContent::images, path);
  check_channels(path, idx);
  ImageSet set;
  set.channels = idx.sizes.size() == 4 ? static_cast<int>(idx.sizes[1]) : 1;
  set.height = static_cast<int>(idx.sizes[idx.sizes.size() - 2]);
  set.width = static_cast<int>(idx.sizes.back());
  set.pixels = std::move(idx.bytes);
  return set;
}

std::vector<std::int32_t> read_idx_labels(const std::string& path) {
  const IdxParser idx = parse_idx(IdxContent::labels, path);
  return {idx.bytes.begin(), idx.bytes.end()};
}

ImageSet read_idx_set(const std::string& name, const std::string& images_path, const std::string& labels_path, int classes) {
  ImageSet set = read_idx_images(images_path);
  set.name = name;
  set.labels = read_idx_labels(labels_path);
  const std::int64_t images = static_cast<std::int64_t>(set.pixels.size()) / set.pixels_per_image();
  if (images != set.count())
    fail(ErrorKind::data, labels_path, ": ", set.count(), " labels for the ", images, " images of ", images_path,
         "; expected one label per image");
  set.classes = classes > 0 ? classes : *std::max_element(set.labels.begin(), set.labels.end()) + 1;
  const auto wrong = std::find_if(set.labels.begin(), set.labels.end(), [&](int label) { return label >= set.classes; });
  if (wrong != set.labels.end())
    fail(ErrorKind::data, labels_path, ": label ", *wrong, " at position ", wrong - set.labels.begin(),
         ", expected labels below ", set.classes, " (the number of classes)");
  return set;
}

}  // namespace alma
