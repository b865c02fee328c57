#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace alma::test {

using Bytes = std::vector<std::uint8_t>;

/// A folder of its own for one test, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// Writes a file (and the folders on its way) and returns its path.
  std::string write(const std::string& name, const Bytes& content) const;

 private:
  std::string path_;
};

/// Sets (or, without a value, removes) an environment variable until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, std::optional<std::string> value);
  ~ScopedVariable();
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

Bytes gzip(const Bytes& content);
Bytes xz(const Bytes& content);
/// Bytes that compress a little: long enough, they span many pieces of a reader.
Bytes sample_bytes(std::size_t count, std::uint32_t seed = 1);
Bytes join(const Bytes& first, const Bytes& second);
Bytes first_bytes(const Bytes& bytes, std::size_t count);

/// An IDX file: 00 00 type rank, the sizes big-endian, then the elements.
Bytes idx_file(const std::vector<std::uint32_t>& sizes, const Bytes& elements, std::uint8_t type = 0x08);

/// Expects an Error of the kind whose message holds every one of the parts.
void expect_error(ErrorKind kind, const std::vector<std::string>& parts, const std::function<void()>& action);

}  // namespace alma::test
