#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace alma {

/// The user's cache: $XDG_CACHE_HOME/alma or ~/.cache/alma; empty if neither XDG_CACHE_HOME nor HOME is set.
std::string cache_folder();

/// Folders that hold data sets, in the order of the search: those of ALMA_DATA (colon-separated), the user's cache,
/// /usr/share/datasets and /usr/local/share/datasets.
std::vector<std::string> data_folders();

/// The path of a file in a folder: as it is, then .gz, then .xz; empty if there is none.
std::string find_packed(const std::filesystem::path& folder, const std::string& file);

/// Where the files of a data set lie.
struct DataPlace {
  std::string folder;              // empty if no file was found anywhere
  std::vector<std::string> paths;  // one per file asked for; empty if that file is not there
  std::string archive;             // that holds all of them, where no folder does; paths are empty then
  bool complete() const;
};

/// What to look for.
struct DataNames {
  std::string set;
  std::vector<std::string> files;
  std::string archive;              // without ending, "cifar-10-binary"; empty: the set has none
  std::string folder;               // that unpacking the archive makes, "cifar-10-batches-bin"; empty: none
  std::vector<std::string> rivals;  // names of other sets
};

/// Tries FOLDER/SET, then FOLDER, for every folder of data_folders(), and in each of them the folder that the archive
/// makes; each file as it is, then .gz, then .xz. The first place that holds all files; otherwise the first archive
/// (.tar.gz, .tar.xz, .tar) in those places; otherwise the place that holds most: a set is never put together from two
/// places, whose labels and images need not belong together. A FOLDER that bears the name of one of `rivals` is not tried by
/// itself: data sets share file names, and ALMA_DATA=/data/mnist must not pass for fashion-mnist.
DataPlace find_data_set(const DataNames& names);

}  // namespace alma
