#include "data/fetch.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "base/file_lock.h"
#include "data/archive.h"
#include "data/part_file.h"
#include "data/verify.h"

namespace alma {
namespace {

namespace fs = std::filesystem;

/// Waits until no other fetch works in the folder; returns false if stop() ended the wait.
bool wait_for(FileLock& lock, const fs::path& folder, const TransferWatch& watch) {
  const auto say = [&](const std::string& line) {
    if (watch.say) watch.say(line);
  };
  for (bool told = false;;) {
    const FileLock::State state = lock.take();
    if (state == FileLock::State::unsupported)
      say("the file system of " + folder.string() + " does not support locks: make sure that no other fetch works there");
    if (state != FileLock::State::busy) return true;
    if (!told) say("waiting for another fetch into " + folder.string());
    told = true;
    if (watch.stop && watch.stop()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

/// A packed file, which is fetched as a whole, and the files that it contains.
struct Package {
  std::string name, at_mirror;
  std::vector<PublishedFile> files;

  /// The largest packed size: no packing makes a file much larger.
  std::int64_t most_bytes() const {
    std::int64_t bytes = 1 << 20;
    for (const PublishedFile& file : files) bytes += file.bytes + file.bytes / 100;
    return bytes;
  }
};

class Fetch {
 public:
  Fetch(const PublishedSet& set, const FetchOptions& options)
      : set_(set), options_(options), folder_(options.folder / set.name), mirrors_(options.mirrors) {
    mirrors_.insert(mirrors_.end(), set.mirrors.begin(), set.mirrors.end());
    for (std::string& mirror : mirrors_)
      if (!mirror.ends_with('/')) mirror += '/';
  }

  Fetched run() {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error)
      fail("cannot create the folder ", folder_.string(), ": ", error.message(),
           "; set XDG_CACHE_HOME to a writable folder");
    Fetched result{false, folder_, 0, 0};
    FileLock lock(folder_ / ".lock");
    if (!wait_for(lock, folder_, options_.watch)) return result;
    for (const Package& package : missing_packages()) {
      if (!get(package)) return result;
      result.fetched += static_cast<int>(package.files.size());
    }
    result.kept = static_cast<int>(set_.files.size()) - result.fetched;
    result.complete = true;
    return result;
  }

 private:
  std::vector<Package> missing_packages() const {
    std::vector<PublishedFile> missing;
    for (const PublishedFile& file : set_.files)
      if (!check_file(file, find_packed(folder_, file.name)).ok()) missing.push_back(file);
    std::vector<Package> packages;
    if (set_.archive.empty()) {
      for (const PublishedFile& file : missing)
        if (file.at_mirror.empty()) {
          packages.push_back({file.name + ".gz", file.name + ".gz", {file}});
        } else {
          packages.push_back({file.name, file.at_mirror, {file}});
        }
    } else if (!missing.empty()) {
      packages.push_back({set_.archive, set_.archive, missing});
    }
    return packages;
  }

  /// Returns false if stop() ended it.
  bool get(const Package& package) {
    PartFile part(folder_ / package.name, PartFile::Unfinished::keep);
    std::vector<std::unique_ptr<PartFile>> members;  // of an archive
    Download wanted{package.name, {}, package.most_bytes(), {}};
    for (const std::string& mirror : mirrors_) wanted.urls.push_back(mirror + package.at_mirror);
    wanted.accept = [&] {
      if (!set_.archive.empty()) {
        members = extract(part.path(), package.files, folder_);
      } else if (const FileCheck check = check_file(package.files.front(), part.path()); !check.ok()) {
        fail(ErrorKind::data, check.problem);
      }
    };
    const std::optional<std::size_t> from = try_mirrors(wanted, part);
    if (!from) return false;
    if (options_.watch.say) options_.watch.say(package.name + " from " + mirrors_[*from]);
    publish(package, part, members);
    const auto served = mirrors_.begin() + static_cast<std::ptrdiff_t>(*from);
    std::rotate(mirrors_.begin(), served, served + 1);  // this mirror is likely to have the next file too
    return true;
  }

  std::optional<std::size_t> try_mirrors(const Download& wanted, PartFile& part) const {
    try {
      return download(wanted, part, options_.patience, options_.watch);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      fail(ErrorKind::data, set_.name, ": ", error.what(),
           "\ntry again later, give the URL of a folder that has it with --mirror URL, or put the files into FOLDER/",
           set_.name, " and set ALMA_DATA=FOLDER");
    }
  }

  void publish(const Package& package, PartFile& part, const std::vector<std::unique_ptr<PartFile>>& members) const {
    if (set_.archive.empty()) {
      part.publish();
    } else {
      for (const auto& member : members) member->publish();
      part.restart();  // so that it goes
    }
    // Removes a damaged file in another packing, which would be found first.
    for (const PublishedFile& file : package.files)
      for (const char* packing : {"", ".gz", ".xz"}) {
        const std::string name = file.name + packing;
        std::error_code no_throw;
        if (name != (set_.archive.empty() ? package.name : file.name)) fs::remove(folder_ / name, no_throw);
      }
  }

  const PublishedSet& set_;
  const FetchOptions& options_;
  fs::path folder_;
  std::vector<std::string> mirrors_;
};

}  // namespace

Fetched fetch(const PublishedSet& set, const FetchOptions& options) { return Fetch(set, options).run(); }

std::vector<std::string> own_mirrors(const std::vector<std::string>& given) {
  std::vector<std::string> mirrors = given;
  const char* environment = std::getenv("ALMA_MIRRORS");
  std::istringstream list(environment ? environment : "");
  for (std::string mirror; list >> mirror;) mirrors.push_back(mirror);
  for (const std::string& mirror : mirrors)
    if (!mirror.starts_with("http://") && !mirror.starts_with("https://"))
      fail(ErrorKind::usage, "mirror \"", mirror, "\" (--mirror, ALMA_MIRRORS): expected http:// or https:// and a folder");
  return mirrors;
}

}  // namespace alma
