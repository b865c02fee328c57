#include "data/catalogue.h"

#include <cmath>
#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "data/archive.h"
#include "data/cifar.h"
#include "data/identity.h"
#include "data/idx.h"
#include "data/published.h"
#include "data/search.h"

namespace alma {
namespace {

[[noreturn]] void fail_unknown(const std::string& name) {
  std::string known;
  for (const Entry& entry : list_data_sets()) known += (known.empty() ? "" : ", ") + entry.name;
  fail(ErrorKind::usage, "stream.dataset = \"", name, "\": no such data set; expected one of ", known);
}

[[noreturn]] void fail_missing(const PublishedSet& set, const DataPlace& place) {
  std::ostringstream text;
  text << set.name << (place.folder.empty() ? ": not found" : ": incomplete: ");
  if (!place.folder.empty()) {
    text << place.folder << " lacks";
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
  text << " (plain, .gz or .xz)";
  if (!set.archive.empty()) text << ", or the archive " << set.archive << " itself (.tar.gz, .tar.xz or .tar)";
  text << "; " << how_to_get(set);
  fail(ErrorKind::data, text.str());
}

void require_same_shape(const ImageSet& train, const ImageSet& test, const std::string& test_path) {
  if (train.channels != test.channels || train.height != test.height || train.width != test.width)
    fail(ErrorKind::data, test_path, ": test images of ", test.channels, " x ", test.height, " x ", test.width,
         ", but the training images are ", train.channels, " x ", train.height, " x ", train.width,
         " (channels x height x width)");
}

ImageData read_cifar(const PublishedSet& set, const DataPlace& place) {
  const std::size_t train_files = set.files.size() - 1;
  constexpr std::int64_t kImagesPerFile = 10'000;
  CifarReader train(set.name + " train", kImagesPerFile * static_cast<std::int64_t>(train_files));
  CifarReader test(set.name + " test", kImagesPerFile);
  const auto reader = [&](std::size_t file) -> CifarReader& { return file < train_files ? train : test; };
  if (place.archive.empty()) {
    for (std::size_t i = 0; i < set.files.size(); ++i) read_cifar_file(place.paths[i], reader(i));
  } else {
    const auto name = [&](std::size_t file) { return place.archive + ", " + set.files[file].name; };
    read_archive(place.archive, set.files,
                 [&](std::size_t file, std::span<const std::uint8_t> piece) { reader(file).take(name(file), piece); });
    for (const std::size_t i : {train_files - 1, train_files}) reader(i).end_file(name(i));  // sizes are checked already
  }
  ImageData data;
  data.train = train.finish();
  data.test = test.finish();
  return data;
}

ImageData read_idx(const PublishedSet& set, const DataPlace& place) {
  const PublishedImages& images = *set.images;
  ImageData data;
  data.train = read_idx_set(set.name + " train", place.paths[0], place.paths[1], images.classes);
  data.test = read_idx_set(set.name + " test", place.paths[2], place.paths[3], images.classes);
  if (data.train.channels != 1 || data.train.height != images.height || data.train.width != images.width)
    fail(ErrorKind::data, place.paths[0], ": images of ", data.train.channels, " x ", data.train.height, " x ",
         data.train.width, ", expected those of ", set.name, ", 1 x ", images.height, " x ", images.width,
         " (channels x height x width)");
  require_same_shape(data.train, data.test, place.paths[2]);
  return data;
}

ImageData load_published(const PublishedSet& set) {
  if (!set.images) fail(ErrorKind::usage, "stream.dataset = \"", set.name, "\": this is text, not images");
  const DataPlace place = find_place(set);
  if (!place.complete()) fail_missing(set, place);
  ImageData data = set.images->format == ImageFormat::cifar ? read_cifar(set, place) : read_idx(set, place);
  if (place.archive.empty()) data.warning = identify(set, place.paths);  // an archive's files are verified as they are read
  data.mean = set.images->mean;
  data.std = set.images->std;
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

/// The normalisation: the request's, else the published set's, else that computed from the training pixels.
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
  data.fingerprint = fingerprint(data.train, data.test);
  return data;
}

std::vector<Entry> list_data_sets() {
  std::vector<Entry> entries;
  for (const PublishedSet& set : published_sets()) {
    const DataPlace place = find_place(set);
    const bool found = place.complete();
    entries.push_back({set.name, set.description, found, place.archive.empty() ? place.folder : place.archive,
                       found ? "" : how_to_get(set), !set.images});
  }
  entries.push_back({"idx", "your own images, in four IDX files (stream.train_images, ...)", true, "", ""});
  entries.push_back({"synthetic-images", "images generated from a seed, for tests; no files are needed", true, "", ""});
  entries.push_back({"text", "a text of your own, as token shards (alma tokenize)", true, "", "", true});
  return entries;
}

}  // namespace alma
