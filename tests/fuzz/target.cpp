#include "tests/fuzz/target.h"

#include <fcntl.h>

#include <filesystem>

#include "base/files.h"
#include "tests/data/files.h"

namespace alma::fuzz {

namespace {

std::vector<Target>& registered() {
  static std::vector<Target> all;
  return all;
}

}  // namespace

const std::vector<Target>& targets() { return registered(); }

Registered::Registered(const Target& target) { registered().push_back(target); }

void take(const Target& target, std::string_view input) {
  try {
    target.read(input);
  } catch (const Error& error) {
    require(error.kind() == target.refuses, std::string("an error of another kind: ") + error.what());
  }
}

void require(bool holds, const std::string& what) {
  if (!holds) throw std::logic_error(what);
}

std::string folder() {
  static const test::TemporaryFolder own;
  return own.path();
}

std::string write_file(const std::string& name, std::string_view content) {
  const std::filesystem::path path = std::filesystem::path(folder()) / name;
  if (name.find('/') != name.npos) std::filesystem::create_directories(path.parent_path());
  File(path, O_WRONLY | O_CREAT | O_TRUNC).write(content);
  return path.string();
}

}  // namespace alma::fuzz
