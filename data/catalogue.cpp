#include "data/catalogue.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <span>
#include <sstream>
#include <string_view>

#include "data/file.h"
#include "data/idx.h"
#include "data/search.h"
#include "kernels/error.h"

namespace alma {
namespace {

struct PublishedFile {
  std::string name;
  std::string sha256;  // of the unpacked content
};

/// A data set of published files: training images and labels, test images and labels.
struct PublishedSet {
  std::string name, description;
  std::array<PublishedFile, 4> files;
  int classes, height, width;
  float mean, std;
  std::string how;
};

const std::array<PublishedSet, 2>& published_sets() {
  // MNIST: the content whose MD5 sums are published with the original files (train images 6bbc9ace898e44ae57da46a324031adb);
  // mean and standard deviation as the paper's code rounds them.
  static const std::array<PublishedSet, 2> sets = {{
      {"mnist",
       "handwritten digits, 60,000 + 10,000 grey images of 28 x 28, 10 classes",
       {{{"train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
         {"train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
         {"t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
         {"t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}}},
       10,
       28,
       28,
       0.1307f,
       0.3081f,
       "put the four files into FOLDER/mnist and set ALMA_DATA=FOLDER"},
      {"fashion-mnist",
       "articles of clothing, 60,000 + 10,000 grey images of 28 x 28, 10 classes",
       {{{"train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
         {"train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
         {"t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
         {"t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}}},
       10,
       28,
       28,
       0.2860f,
       0.3530f,
       "install the package dataset-fashion-mnist (apt-get install dataset-fashion-mnist), or put the four files into "
       "FOLDER/fashion-mnist and set ALMA_DATA=FOLDER"},
  }};
  return sets;
}

const PublishedSet* find_published(const std::string& name) {
  for (const PublishedSet& set : published_sets())
    if (set.name == name) return &set;
  return nullptr;
}

[[noreturn]] void fail_unknown(const std::string& name) {
  std::string known;
  for (const Entry& entry : list_data_sets()) known += (known.empty() ? "" : ", ") + entry.name;
  fail(ErrorKind::usage, "stream.dataset = \"", name, "\": no such data set; expected one of ", known);
}

DataPlace find_place(const PublishedSet& set) {
  std::vector<std::string> files, rivals;
  for (const PublishedFile& file : set.files) files.push_back(file.name);
  for (const PublishedSet& other : published_sets())
    if (&other != &set) rivals.push_back(other.name);
  return find_data_set(set.name, files, rivals);
}

[[noreturn]] void fail_missing(const PublishedSet& set, const DataPlace& place) {
  std::ostringstream text;
  text << set.name << ": not found";
  if (!place.folder.empty()) {
    text << " as a whole: " << place.folder << " lacks";
    for (std::size_t i = 0; i < set.files.size(); ++i)
      if (place.paths[i].empty()) text << " " << set.files[i].name;
  }
  text << "; searched";
  const char* separator = " ";
  for (const std::string& folder : data_folders()) {
    std::error_code no_throw;
    const bool there = std::filesystem::is_directory(folder, no_throw);
    text << separator << folder << (there ? "" : " (no such folder)");
    separator = ", ";
  }
  text << "; expected in one of them, or in its folder " << set.name << ":";
  for (const PublishedFile& file : set.files) text << " " << file.name;
  text << " (plain, .gz or .xz); " << set.how;
  fail(ErrorKind::data, text.str());
}

void require_same_shape(const ImageSet& train, const ImageSet& test, const std::string& test_path) {
  if (train.channels != test.channels || train.height != test.height || train.width != test.width)
    fail(ErrorKind::data, test_path, ": test images of ", test.channels, " x ", test.height, " x ", test.width,
         ", but the training images are ", train.channels, " x ", train.height, " x ", train.width,
         " (channels x height x width)");
}

ImageData load_published(const PublishedSet& set) {
  const DataPlace place = find_place(set);
  if (!place.complete()) fail_missing(set, place);
  ImageData data;
  data.train = read_idx_set(set.name + " train", place.paths[0], place.paths[1], set.classes);
  data.test = read_idx_set(set.name + " test", place.paths[2], place.paths[3], set.classes);
  if (data.train.channels != 1 || data.train.height != set.height || data.train.width != set.width)
    fail(ErrorKind::data, place.paths[0], ": images of ", data.train.channels, " x ", data.train.height, " x ",
         data.train.width, ", expected those of ", set.name, ", 1 x ", set.height, " x ", set.width,
         " (channels x height x width)");
  require_same_shape(data.train, data.test, place.paths[2]);
  data.mean = {set.mean};
  data.std = {set.std};
  return data;
}

ImageData load_own_files(const ImageRequest& request) {
  const std::pair<const char*, const std::string&> paths[] = {{"train_images", request.train_images},
                                                              {"train_labels", request.train_labels},
                                                              {"test_images", request.test_images},
                                                              {"test_labels", request.test_labels}};
  for (const auto& [key, path] : paths)
    if (path.empty())
      fail(ErrorKind::usage, "stream.", key, " is not set; stream.dataset = \"idx\" needs the paths of four IDX files");
  if (request.classes < 0 || request.classes > 256)
    fail(ErrorKind::usage, "stream.classes = ", request.classes, ": expected 1 .. 256, or 0 to take it from the labels");
  ImageData data;
  data.train = read_idx_set("idx train", request.train_images, request.train_labels, request.classes);
  data.test = read_idx_set("idx test", request.test_images, request.test_labels, data.train.classes);
  require_same_shape(data.train, data.test, request.test_images);
  return data;
}

/// What the request says replaces what the set says; what neither says is computed.
void normalise(const ImageRequest& request, ImageData& data) {
  if (request.mean.empty() != request.std.empty())
    fail(ErrorKind::usage, "stream.mean and stream.std belong together: give both or neither");
  if (!request.mean.empty()) {
    data.mean = request.mean;
    data.std = request.std;
  } else if (data.mean.empty()) {
    auto [mean, std] = channel_statistics(data.train);
    data.mean = std::move(mean);
    data.std = std::move(std);
  }
  const auto channels = static_cast<std::size_t>(data.train.channels);
  if (data.mean.size() != channels || data.std.size() != channels)
    fail(ErrorKind::usage, "stream.mean has ", data.mean.size(), " and stream.std ", data.std.size(), " values; ",
         data.train.name, " has ", channels, " channels and needs one of each per channel");
  for (std::size_t c = 0; c < channels; ++c) {
    if (std::isfinite(data.mean[c]) && std::isfinite(data.std[c]) && data.std[c] > 0) continue;
    if (request.std.empty())
      fail(ErrorKind::data, data.train.name, ": all pixels of channel ", c,
           " are the same, so that they cannot be scaled; set stream.mean and stream.std");
    fail(ErrorKind::usage, "stream.mean, stream.std of channel ", c, " are ", data.mean[c], ", ", data.std[c],
         "; expected finite numbers and std > 0");
  }
}

FileCheck check_file(const PublishedFile& file, const std::string& path) {
  FileCheck check{file.name, path, 0, "", file.sha256, ""};
  if (path.empty()) {
    check.problem = "missing";
    return check;
  }
  try {
    Sha256 sum;
    read_pieces(path, kLargestFile, [&](std::span<const std::uint8_t> piece) {
      sum.add(piece);
      check.bytes += static_cast<std::int64_t>(piece.size());
    });
    check.sha256 = sum.hex();
    if (check.sha256 != check.expected) check.problem = "the content differs from the published one";
  } catch (const Error& error) {
    check.problem = error.what();
  }
  return check;
}

}  // namespace

ImageData load_images(const ImageRequest& request) {
  ImageData data;
  if (const PublishedSet* set = find_published(request.name)) {
    data = load_published(*set);
  } else if (request.name == "idx") {
    data = load_own_files(request);
  } else if (request.name == "synthetic-images") {
    data = make_synthetic_images(request.synthetic);
  } else {
    fail_unknown(request.name);
  }
  normalise(request, data);
  return data;
}

std::vector<Entry> list_data_sets() {
  std::vector<Entry> entries;
  for (const PublishedSet& set : published_sets()) {
    const DataPlace place = find_place(set);
    const bool found = place.complete();
    entries.push_back({set.name, set.description, found, place.folder, found ? "" : set.how});
  }
  entries.push_back({"idx", "images of your own in four IDX files (stream.train_images, ...)", true, "", ""});
  entries.push_back({"synthetic-images", "images made from a seed, for tests; no file is needed", true, "", ""});
  return entries;
}

std::vector<FileCheck> verify(const std::string& name) {
  const PublishedSet* set = find_published(name);
  if (!set) {
    if (name == "idx" || name == "synthetic-images")
      fail(ErrorKind::usage, name, ": has no published files to compare with");
    fail_unknown(name);
  }
  const DataPlace place = find_place(*set);
  std::vector<FileCheck> checks;
  for (std::size_t i = 0; i < set->files.size(); ++i) checks.push_back(check_file(set->files[i], place.paths[i]));
  return checks;
}

}  // namespace alma
