#include <cstdlib>
#include <iostream>

#include "alma/commands/commands.h"
#include "alma/report/answer.h"
#include "alma/report/report.h"
#include "alma/report/tensorboard.h"
#include "base/error.h"
#include "base/files.h"

namespace alma {

int report_command(const ReportOptions& options) {
  const RunCollection collection = read_runs(options.folders);
  warn_of_left_out(collection);
  if (collection.runs.empty())
    fail(ErrorKind::usage, "nothing to report: no finished run in ", options.folders.front().string(),
         options.folders.size() > 1 ? " and the other folders" : "");
  const char* vega_folder = std::getenv("ALMA_VEGA");
  const std::filesystem::path vega = vega_folder != nullptr ? vega_folder : "/usr/share/javascript/vega";
  write_atomically(options.out, report_page(collection, vega));
  if (!options.csv.empty()) write_atomically(options.csv, report_csv(collection.runs));
  if (!options.svg.empty()) write_figures(collection, vega, options.svg);
  if (!options.tensorboard.empty()) write_tensorboard(collection.runs, options.tensorboard);
  for (const Answer& answer : answers(group_runs(collection.runs)))
    std::cout << answer.stream << ": " << answer.text << '\n';
  std::cout << collection.runs.size() << (collection.runs.size() == 1 ? " run in " : " runs in ") << options.out.string()
            << '\n';
  return 0;
}

}  // namespace alma
