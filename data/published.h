#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/search.h"

namespace alma {

/// A file of a published data set, as it is unpacked.
struct PublishedFile {
  std::string name;
  std::int64_t bytes = 0;
  std::string sha256;
};

/// How files hold images.
enum class ImageFormat {
  idx,    // four files: training images and labels, test images and labels (data/idx.h)
  cifar,  // training files, and a last one for the test (data/cifar.h)
};

struct PublishedImages {
  ImageFormat format;
  int classes, channels, height, width;
  std::vector<float> mean, std;  // per channel
};

/// A data set whose files are published: what they hold, and where they can be fetched.
struct PublishedSet {
  std::string name, description;
  std::vector<PublishedFile> files;
  PublishedImages images;
  std::string archive;               // the tar archive that holds all files; empty: each is a file of its own, NAME.gz
  std::string folder;                // that unpacking the archive makes
  std::vector<std::string> mirrors;  // URLs of folders with the packed files
  std::string package;               // of the distribution, if there is one
};

/// All of them, in a fixed order.
const std::vector<PublishedSet>& published_sets();

/// The set of that name; null if there is none.
const PublishedSet* find_published(const std::string& name);
/// The set of that name. Throws Error(ErrorKind::usage), with all names, if there is none.
const PublishedSet& published_set(const std::string& name);

/// Where the files lie, one path per file (data/search.h).
DataPlace find_place(const PublishedSet& set);

/// What to do to get the files: "get it with: alma data fetch mnist, or ...".
std::string how_to_get(const PublishedSet& set);

}  // namespace alma
