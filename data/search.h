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
  bool complete() const;
};

/// Tries FOLDER/NAME, then FOLDER, for every folder of data_folders(); each file as it is, then .gz, then .xz. The first
/// place that holds all files, otherwise the one that holds most: a set is never put together from two places, whose labels
/// and images need not belong together. A FOLDER that bears the name of one of `rivals` is not tried by itself: data sets
/// share file names, and ALMA_DATA=/data/mnist must not pass for fashion-mnist.
DataPlace find_data_set(const std::string& name, const std::vector<std::string>& files,
                        const std::vector<std::string>& rivals);

}  // namespace alma
