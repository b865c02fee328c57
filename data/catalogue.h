#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/images.h"
#include "data/synthetic.h"

namespace alma {

/// Which images to load. Only `name` is needed for the sets of the catalogue.
struct ImageRequest {
  std::string name;  // mnist | fashion-mnist | cifar10 | idx | synthetic-images

  // idx: four files of your own (data/idx.h), and the number of classes (0: the largest training label + 1).
  std::string train_images, train_labels, test_images, test_labels;
  int classes = 0;
  // Normalisation per channel. Empty: that of the catalogue, or computed from the training pixels (idx, synthetic-images).
  std::vector<float> mean, std;

  SyntheticImages synthetic;
};

/// Reads (or makes) a training and a test set and checks their structure, and that published files are what their set's name
/// says (identify(), data/identity.h).
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

/// Every data set that is known, in a fixed order, and whether its files are there.
std::vector<Entry> list_data_sets();

}  // namespace alma
