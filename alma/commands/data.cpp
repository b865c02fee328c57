#include <algorithm>
#include <iostream>

#include "alma/commands/commands.h"
#include "alma/console/fetch_console.h"
#include "alma/console/text.h"
#include "alma/run/interrupt.h"
#include "base/error.h"
#include "base/process.h"
#include "data/catalogue.h"
#include "data/fetch.h"
#include "data/published.h"
#include "data/search.h"
#include "data/verify.h"

namespace alma {

int data_list_command() {
  require_standard_output();
  for (const Entry& entry : list_data_sets()) {
    std::cout << (entry.found ? "+ " : "- ") << entry.name << ": " << entry.description << '\n';
    if (!entry.where.empty()) std::cout << "    " << (entry.found ? "in " : "incomplete in ") << entry.where << '\n';
    if (!entry.found) std::cout << "    not found; " << entry.how << '\n';
  }
  std::cout << "searched:";
  for (const std::string& folder : data_folders()) std::cout << ' ' << folder;
  std::cout << '\n';
  return 0;
}

int data_verify_command(const std::string& name) {
  require_standard_output();
  bool all_ok = true;
  for (const FileCheck& check : verify(name)) {
    all_ok = all_ok && check.ok();
    std::cout << (check.ok() ? "ok    " : "WRONG ") << check.file;
    if (!check.path.empty()) std::cout << "  (" << check.path << ", " << grouped(check.bytes) << " bytes unpacked)";
    std::cout << '\n';
    if (check.ok()) continue;
    std::cout << "      " << check.problem << "\n      expected SHA-256 " << check.expected << '\n';
    if (!check.sha256.empty()) std::cout << "      found            " << check.sha256 << '\n';
  }
  if (all_ok) return 0;
  std::cout << std::flush;
  fail(ErrorKind::data, name, ": files are missing or damaged, see above; ", how_to_get(published_set(name)));
}

int data_fetch_command(const FetchArguments& arguments) {
  const PublishedSet& set = published_set(arguments.data_set);
  FetchOptions options{cache_folder(), own_mirrors(arguments.mirrors), {}, {}};
  const auto finish = [&](const std::string& folder, const char* how) {
    if (!arguments.quiet) std::cout << set.name << ": " << set.files.size() << " files in " << folder << ", " << how << '\n';
    return 0;
  };
  const std::vector<FileCheck> checks = verify(set.name);
  if (std::all_of(checks.begin(), checks.end(), [](const FileCheck& check) { return check.ok(); }))
    return finish(find_place(set).folder, "verified; nothing to fetch");
  if (set.mirrors.empty() && options.mirrors.empty())
    fail(ErrorKind::usage, set.name, ": no web site has these files; ", how_to_get(set),
         ", or name a mirror with --mirror URL");
  if (options.folder.empty())
    fail(ErrorKind::usage, "there is no cache folder; set HOME, or set XDG_CACHE_HOME to a writable folder");

  catch_interrupts();
  FetchConsole console(fetch_console_options(arguments.quiet));
  options.watch = {
      [&](const std::string& file, std::int64_t done, std::int64_t total) { console.progress(file, done, total); },
      [&](const std::string& line) { console.say(line); }, interrupted};
  const Fetched fetched = fetch(set, options);
  console.end_line();
  if (!fetched.complete) {
    if (!arguments.quiet) std::cerr << "interrupted; alma data fetch " << set.name << " continues from here\n";
    return 130;
  }
  if (const std::string first = find_place(set).folder; first != fetched.folder)
    std::cerr << "warning: " << first << " is searched first, and its files of " << set.name
              << " are not the published ones; remove them, or take the folder out of ALMA_DATA\n";
  return finish(fetched.folder.string(), "verified");
}

}  // namespace alma
