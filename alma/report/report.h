#pragma once
#include <filesystem>
#include <string>

#include "alma/report/groups.h"

namespace alma {

/// The runs as one self-contained HTML page: figures 2 to 5 of the paper, drawn by Vega, and tables. Vega's scripts are read
/// from `vega`, the folder of the package libjs-vega. Throws Error(ErrorKind::usage) if they are missing.
std::string report_page(const RunCollection& collection, const std::filesystem::path& vega);

/// A CSV table (RFC 4180) with one line per run: its folder, all keys of its configuration, all measures.
std::string report_csv(std::span<const RunRecord> runs);

/// Writes the page's figures as SVG files into `folder`, drawn by Node.js: for each stream tradeoff-compute.svg,
/// ppl-compute.svg, ... Throws Error(ErrorKind::usage) if `node` is missing or fails.
void write_figures(const RunCollection& collection, const std::filesystem::path& vega, const std::filesystem::path& folder);

}  // namespace alma
