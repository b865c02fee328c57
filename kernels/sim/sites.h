#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <vector>

#include "base/error.h"

namespace alma::sim {

inline bool same_place(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

/// Numbers the places in the source where memory is accessed.
class Sites {
 public:
  std::uint16_t number_of(const std::source_location& site) {
    std::uint16_t& recent = recent_[(site.line() * 37u + site.column()) % kRecent];
    if (recent < sites_.size() && same_place(sites_[recent], site)) return recent;
    std::size_t i = 0;
    while (i < sites_.size() && !same_place(sites_[i], site)) ++i;
    if (i == sites_.size()) sites_.push_back(site);
    if (i > UINT16_MAX) fail("[sim] too many accesses in the source to number them");
    return recent = static_cast<std::uint16_t>(i);
  }
  const std::source_location& operator[](std::size_t i) const { return sites_[i]; }

 private:
  static constexpr std::size_t kRecent = 512;
  std::vector<std::source_location> sites_;
  std::uint16_t recent_[kRecent] = {};
};

}  // namespace alma::sim
