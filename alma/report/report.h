#pragma once
#include <filesystem>
#include <string>

#include "alma/report/groups.h"

namespace alma {

/// The runs as one HTML page that needs nothing else: figures 2 to 5 of the paper and tables, drawn by Vega, whose scripts
/// are read from `vega`, the folder of the package libjs-vega. Throws Error(ErrorKind::usage) if they are not there.
std::string report_page(const RunCollection& collection, const std::filesystem::path& vega);

/// One line for each run: its folder, all keys of its configuration, all measures (RFC 4180).
std::string report_csv(std::span<const RunRecord> runs);

/// The page's figures as SVG files in `folder`, drawn by Node.js: tradeoff-compute.svg, ppl-compute.svg, ... of each
/// stream. Throws Error(ErrorKind::usage) if there is no `node` or it fails.
void write_figures(const RunCollection& collection, const std::filesystem::path& vega, const std::filesystem::path& folder);

}  // namespace alma
