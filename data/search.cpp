#include "data/search.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace alma {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::string cache_folder() {
  const std::string cache = environment("XDG_CACHE_HOME"), home = environment("HOME");
  if (!cache.empty()) return cache + "/alma";
  return home.empty() ? "" : home + "/.cache/alma";
}

std::vector<std::string> data_folders() {
  std::vector<std::string> folders;
  std::istringstream list(environment("ALMA_DATA"));
  for (std::string folder; std::getline(list, folder, ':');)
    if (!folder.empty()) folders.push_back(folder);
  if (const std::string cache = cache_folder(); !cache.empty()) folders.push_back(cache);
  folders.insert(folders.end(), {"/usr/share/datasets", "/usr/local/share/datasets"});
  return folders;
}

std::string find_packed(const std::filesystem::path& folder, const std::string& file) {
  for (const char* packed : {"", ".gz", ".xz"}) {
    const std::filesystem::path path = folder / (file + packed);
    std::error_code no_throw;
    if (std::filesystem::exists(path, no_throw)) return path.string();
  }
  return "";
}

bool DataPlace::complete() const {
  return !paths.empty() && std::none_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
}

DataPlace find_data_set(const std::string& name, const std::vector<std::string>& files,
                        const std::vector<std::string>& rivals) {
  DataPlace best;
  best.paths.resize(files.size());
  std::ptrdiff_t best_found = 0;
  const auto better = [&](const std::filesystem::path& folder) {
    DataPlace place{folder.string(), {}};
    for (const std::string& file : files) place.paths.push_back(find_packed(folder, file));
    const auto missing = std::count(place.paths.begin(), place.paths.end(), "");
    const auto found = static_cast<std::ptrdiff_t>(files.size()) - missing;
    if (found > best_found) {
      best = std::move(place);
      best_found = found;
    }
  };
  for (const std::filesystem::path folder : data_folders()) {
    better(folder / name);
    const std::string own_name = (folder / "").parent_path().filename().string();  // also of "/data/mnist/"
    if (std::find(rivals.begin(), rivals.end(), own_name) == rivals.end()) better(folder);
  }
  return best;
}

}  // namespace alma
