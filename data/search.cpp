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
  if (!archive.empty()) return true;
  return !paths.empty() && std::none_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
}

namespace {

std::vector<std::filesystem::path> places(const DataNames& names) {
  std::vector<std::filesystem::path> all;
  const auto add = [&](const std::filesystem::path& folder) {
    all.push_back(folder);
    if (!names.folder.empty()) all.push_back(folder / names.folder);
  };
  for (const std::filesystem::path folder : data_folders()) {
    add(folder / names.set);
    const std::string own_name = (folder / "").parent_path().filename().string();  // also of "/data/mnist/"
    if (std::find(names.rivals.begin(), names.rivals.end(), own_name) == names.rivals.end()) add(folder);
  }
  return all;
}

std::string find_archive(const std::filesystem::path& folder, const std::string& name) {
  if (name.empty()) return "";
  for (const char* ending : {".tar.gz", ".tar.xz", ".tar"}) {
    const std::filesystem::path path = folder / (name + ending);
    std::error_code no_throw;
    if (std::filesystem::is_regular_file(path, no_throw)) return path.string();
  }
  return "";
}

}  // namespace

DataPlace find_data_set(const DataNames& names) {
  DataPlace best;
  best.paths.resize(names.files.size());
  std::ptrdiff_t best_found = 0;
  for (const std::filesystem::path& folder : places(names)) {
    DataPlace place{folder.string(), {}, ""};
    for (const std::string& file : names.files) place.paths.push_back(find_packed(folder, file));
    if (place.complete()) return place;
    const auto missing = std::count(place.paths.begin(), place.paths.end(), "");
    const auto found = static_cast<std::ptrdiff_t>(names.files.size()) - missing;
    if (found <= best_found) continue;
    best = std::move(place);
    best_found = found;
  }
  for (const std::filesystem::path& folder : places(names))
    if (const std::string archive = find_archive(folder, names.archive); !archive.empty())
      return {folder.string(), std::vector<std::string>(names.files.size()), archive};
  return best;
}

}  // namespace alma
