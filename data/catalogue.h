#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/images.h"
#include "data/synthetic.h"

namespace alma {

/// A request for images. The sets of the catalogue need only `name`.
struct ImageRequest {
  std::string name;  // mnist | fashion-mnist | cifar10 | idx | synthetic-images

  // idx: the user's four files (data/idx.h), and the number of classes (0: the largest training label + 1).
  std::string train_images, train_labels, test_images, test_labels;
  int classes = 0;
  // The normalisation per channel. Empty: the catalogue's, or computed from the training pixels (idx, synthetic-images).
  std::vector<float> mean, std;

  SyntheticImages synthetic;
};

/// Reads (or generates) a training and a test set; checks their structure, and that published files belong to the set of
/// that name (identify(), data/identity.h).
/// Throws Error(ErrorKind::data) if files are missing (with the folders searched and how to get them) or damaged, and
/// Error(ErrorKind::usage) for an unknown name or a request that does not fit (mean and std of the wrong length, ...).
ImageData load_images(const ImageRequest& request);

/// A line of `alma data list`.
struct Entry {
  std::string name;
  std::string description;
  bool found = false;  // whether every file exists (always true for sets without files)
  std::string where;   // the folder with the files, or some of them; empty if there are none
  std::string how;     // how to get it, if it was not found
  bool text = false;   // else images
};

/// All known data sets, in a fixed order, and whether their files exist.
std::vector<Entry> list_data_sets();

}  // namespace alma
