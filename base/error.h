#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace alma {

/// The kind of a failure, as the program's exit code.
enum class ErrorKind {
  failed = 1,  // the run failed
  usage = 2,   // wrong usage or configuration
  data = 3,    // data missing or damaged
};

/// The project's only exception. The message says what was wrong, what was found, what was expected and what to do. Its
/// visibility is the default one, because backends are shared libraries with hidden symbols and errors cross their boundary.
class __attribute__((visibility("default"))) Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// Throws an Error of the given kind, whose message consists of all parts: fail(ErrorKind::data, path, ": empty file").
template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(kind, text.str());
}

/// The same with ErrorKind::failed, for engine and kernels: fail("[matmul] inner sizes differ: ", a, " and ", b).
template <class... Parts>
[[noreturn]] void fail(const char* first, const Parts&... parts) {
  fail(ErrorKind::failed, first, parts...);
}

}  // namespace alma
