#pragma once
#include <string>
#include <vector>

#include "tests/data/files.h"

namespace alma::test {

/// An entry of a tar archive, honest or not.
struct TarEntry {
  enum class Type { file, folder, symbolic_link, hard_link, device, pipe };
  std::string path;
  Bytes content = {};
  Type type = Type::file;
  std::string target = "";  // of a link
};

/// The archive, not packed.
Bytes tar(const std::vector<TarEntry>& entries);

}  // namespace alma::test
