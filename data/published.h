#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/search.h"

namespace alma {

/// A file of a published data set, in unpacked form.
struct PublishedFile {
  std::string name;
  std::int64_t bytes = 0;
  std::string sha256;
  std::string at_mirror = {};  // the name of the packed or plain file at the mirrors; empty: NAME.gz
};

/// The formats of image files.
enum class ImageFormat {
  idx,    // four files: training images and labels, test images and labels (data/idx.h)
  cifar,  // training files, then one test file (data/cifar.h)
};

struct PublishedImages {
  ImageFormat format;
  int classes, channels, height, width;
  std::vector<float> mean, std;  // per channel
};

/// A data set whose files are published: their content, and the places to fetch them from.
struct PublishedSet {
  std::string name, description;
  std::vector<PublishedFile> files;
  std::optional<PublishedImages> images;  // none: text
  std::string archive;                    // the tar archive with all files; empty: each file is published by itself
  std::string folder;                // the folder inside the archive; files may lie in a folder of that name without it, too
  std::vector<std::string> mirrors;  // URLs of folders with the packed files; none: not published as these files
  std::string package;               // the distribution's package, if there is one
};

/// All published sets, in a fixed order.
const std::vector<PublishedSet>& published_sets();

/// The set with that name; null if there is none.
const PublishedSet* find_published(const std::string& name);
/// The set with that name. Throws Error(ErrorKind::usage), with all names, if there is none.
const PublishedSet& published_set(const std::string& name);

/// The place of the files, one path per file (data/search.h).
DataPlace find_place(const PublishedSet& set);

/// Advice for getting the files: "get it with: alma data fetch mnist, or ...".
std::string how_to_get(const PublishedSet& set);

}  // namespace alma
