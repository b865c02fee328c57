#pragma once
#include <string>

#include "data/catalogue.h"

namespace alma::test {

/// Why the data set cannot be used in a test here; empty if it can.
inline std::string unavailable(const std::string& name) {
  for (const Entry& entry : list_data_sets())
    if (entry.name == name) return entry.found ? "" : name + " is not here: " + entry.how;
  return name + " is not in the catalogue";
}

}  // namespace alma::test
