#include <iostream>

#include "alma/commands.h"
#include "alma/text.h"
#include "data/catalogue.h"
#include "data/search.h"
#include "kernels/error.h"

namespace alma {

int data_list_command() {
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
  fail(ErrorKind::data, name, ": files are missing or damaged, see above; put the published ones in their place");
}

}  // namespace alma
