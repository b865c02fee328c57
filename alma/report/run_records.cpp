#include "alma/report/run_records.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "alma/config/kinds.h"
#include "alma/run/run_directory.h"
#include "base/error.h"
#include "base/files.h"

namespace alma {

namespace fs = std::filesystem;

namespace {

RunRecord read_run(const fs::path& folder) {
  if (auto run = read_finished_run(folder)) return *std::move(run);
  read_run_config(folder);  // throws the reason if it is not a run directory
  fail(ErrorKind::data, "not finished; continue it with: alma run --resume --out ", folder.string());
}

// The files that only a run creates. A config.toml may come from elsewhere.
bool looks_like_run(const fs::path& folder) {
  const auto has = [&](const char* name) {
    std::error_code none;
    return fs::exists(fs::symlink_status(folder / name, none));
  };
  return has("metrics.jsonl") || has("result.json") || (has("config.toml") && (has("run.lock") || has("checkpoint")));
}

/// Finds run directories at and below folders. Each folder is read once, however it is reached: first the real folders, then
/// the targets of symbolic links.
class Search {
 public:
  explicit Search(RunCollection& collection) : collection_(collection) {}

  /// Returns false if the folder has been read before.
  bool look_into(const fs::path& folder) {
    const std::size_t before = known_.size();
    folders_.push_back(folder);
    while (!folders_.empty() || !links_.empty()) {
      std::vector<fs::path>& next = folders_.empty() ? links_ : folders_;
      const fs::path path = std::move(next.back());
      next.pop_back();
      visit(path);
    }
    return known_.size() > before;
  }
  const std::vector<fs::path>& found() const { return found_; }

 private:
  void leave_out(const fs::path& path, const std::string& why) { collection_.left_out.push_back({path, why}); }

  void visit(const fs::path& folder) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) return leave_out(folder, "cannot be read: " + system_error_text(errno));
    if (!known_.insert({status.st_dev, status.st_ino}).second) return;
    if (looks_like_run(folder)) found_.push_back(folder);
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) add(*entry);
    if (error) leave_out(folder, "cannot be read: " + error.message());
  }

  void add(const fs::directory_entry& entry) {
    std::error_code error;
    if (!entry.is_symlink(error)) {
      if (entry.is_directory(error)) folders_.push_back(entry.path());
      return;
    }
    const bool leads_to_folder = entry.is_directory(error);
    if (error) return leave_out(entry.path(), "a broken symbolic link: " + error.message());
    if (!leads_to_folder) return;
    if (leads_upwards(entry.path())) return leave_out(entry.path(), "a symbolic link to a folder that contains it");
    links_.push_back(entry.path());
  }

  // Following such a link would find everything below it again; a link to / the whole machine.
  static bool leads_upwards(const fs::path& link) {
    std::error_code error;
    const fs::path target = fs::canonical(link, error);
    const fs::path place = error ? fs::path() : fs::canonical(link.parent_path(), error);
    return !error && std::mismatch(target.begin(), target.end(), place.begin(), place.end()).first == target.end();
  }

  RunCollection& collection_;
  std::vector<fs::path> folders_, links_;  // still to be read
  std::set<std::pair<dev_t, ino_t>> known_;
  std::vector<fs::path> found_;
};

// Keeps the first of the runs with the same configuration, so that no seed counts twice.
void leave_out_copies(RunCollection& collection) {
  std::map<std::string, fs::path> known;
  std::erase_if(collection.runs, [&](const RunRecord& run) {
    const auto [first, is_new] = known.try_emplace(outcome_key(run.config), run.folder);
    if (!is_new) collection.left_out.push_back({run.folder, "the same configuration and seed as " + first->second.string()});
    return !is_new;
  });
}

}  // namespace

std::string outcome_key(Config config) {
  config.train.checkpoint_seconds = Config::Train{}.checkpoint_seconds;
  return write_config(config);
}

RunCollection read_runs(std::span<const fs::path> folders) {
  RunCollection collection;
  Search search(collection);
  for (const fs::path& folder : folders) {
    std::error_code none;
    if (!fs::is_directory(folder, none))
      fail(ErrorKind::usage, folder.string(), fs::exists(folder, none) ? " is not a folder" : " does not exist",
           "; expected run directories, or folders that contain run directories");
    const std::size_t before = search.found().size() + collection.left_out.size();
    const bool is_new = search.look_into(folder);
    if (is_new && search.found().size() + collection.left_out.size() == before)
      collection.left_out.push_back({folder, "contains no run directory"});
  }
  std::vector<fs::path> found = search.found();
  std::sort(found.begin(), found.end());
  for (const fs::path& folder : found) try {
      collection.runs.push_back(read_run(folder));
    } catch (const std::exception& error) {
      collection.left_out.push_back({folder, error.what()});
    }
  leave_out_copies(collection);
  return collection;
}

void warn_of_left_out(const RunCollection& collection) {
  for (const LeftOut& left : collection.left_out)
    std::cerr << "warning: left out " << left.folder.string() << ": " << left.reason << '\n';
}

}  // namespace alma
