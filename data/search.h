#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace alma {

/// The user's cache: $XDG_CACHE_HOME/alma or ~/.cache/alma; empty if neither XDG_CACHE_HOME nor HOME is set.
std::string cache_folder();

/// The folders of data sets, in the order of the search: those of ALMA_DATA (colon-separated), the user's cache,
/// /usr/share/datasets and /usr/local/share/datasets.
std::vector<std::string> data_folders();

/// The path of a file in a folder: the plain file, else .gz, else .xz; empty if there is none.
std::string find_packed(const std::filesystem::path& folder, const std::string& file);

/// The place of a data set's files.
struct DataPlace {
  std::string folder;              // empty if no file was found anywhere
  std::vector<std::string> paths;  // one per requested file; empty if that file does not exist
  std::string archive;             // the archive with all files, if no folder has them; paths are empty then
  bool complete() const;
};

/// A request for a data set's files.
struct DataNames {
  std::string set;
  std::vector<std::string> files;
  std::string archive;              // archive without extension, "cifar-10-binary"; empty if the set has none
  std::string folder;               // folder inside the archive, "cifar-10-batches-bin"; empty: none
  std::vector<std::string> rivals;  // names of other sets
};

/// Searches FOLDER/SET, then FOLDER, for every folder of data_folders(), and in each of them the archive's own folder; each
/// file plain, then .gz, then .xz. Returns the first place with all files; otherwise the first archive (.tar.gz, .tar.xz,
/// .tar) in those places; otherwise the place with the most files. A set is never combined from two places, whose labels and
/// images may not belong together. A FOLDER named like one of `rivals` is only searched for a subfolder SET: data sets share
/// file names, and ALMA_DATA=/data/mnist must not be taken for fashion-mnist.
DataPlace find_data_set(const DataNames& names);

}  // namespace alma
