#pragma once
#include <string_view>

namespace alma {

// The sources of the report's page, alma/report/page/, embedded at build time.
extern const std::string_view kPageHtml, kPageCss, kPageJs, kFiguresJs, kVegaJs, kSvgJs;

}  // namespace alma
