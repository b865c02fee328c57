#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/images.h"
#include "data/synthetic.h"

namespace alma {

/// Which images to load. Only `name` is needed for the sets of the catalogue.
struct ImageRequest {
  std::string name;  // mnist | fashion-mnist | idx | synthetic-images

  // idx: four files of your own (data/idx.h), and the number of classes (0: the largest training label + 1).
  std::string train_images, train_labels, test_images, test_labels;
  int classes = 0;
  // Normalisation per channel. Empty: that of the catalogue, or computed from the training pixels (idx, synthetic-images).
  std::vector<float> mean, std;

  SyntheticImages synthetic;
};

/// Reads (or makes) a training and a test set and checks their structure; checksums are verify()'s work.
/// Throws Error(ErrorKind::data) if files are missing (with the folders searched and how to get them) or damaged, and
/// Error(ErrorKind::usage) for an unknown name or a request that does not fit (mean and std of the wrong length, ...).
ImageData load_images(const ImageRequest& request);

/// A line of `alma data list`.
struct Entry {
  std::string name;
  std::string description;
  bool found = false;  // every file is there (sets without files are always found)
  std::string where;   // the folder that holds the files, or some of them; empty if there are none
  std::string how;     // how to get it, if it was not found
};

/// Every data set that load_images knows, in a fixed order, and whether its files are there.
std::vector<Entry> list_data_sets();

/// A line of `alma data verify NAME`.
struct FileCheck {
  std::string file;        // the file's name in the data set
  std::string path;        // where it was found; empty if it was not
  std::int64_t bytes = 0;  // unpacked
  std::string sha256;      // of the unpacked content; empty if it could not be read
  std::string expected;    // the published content's
  std::string problem;     // empty if the file is right; otherwise what is wrong with it
  bool ok() const { return problem.empty(); }
};

/// Reads every file of a data set and compares its content with the published one. Missing and damaged files are reported,
/// not thrown. Throws Error(ErrorKind::usage) for an unknown name or a set without published files.
std::vector<FileCheck> verify(const std::string& name);

}  // namespace alma
