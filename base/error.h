#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace alma {

/// What went wrong, in the terms of the program's exit code.
enum class ErrorKind {
  failed = 1,  // the run failed
  usage = 2,   // wrong usage or configuration
  data = 3,    // data missing or damaged
};

/// The one exception of the project. The message says what was wrong, what was found, what was expected and what to do.
/// Default visibility, because backends are shared libraries with hidden symbols and errors cross their border.
class __attribute__((visibility("default"))) Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// Throws an Error of the given kind; the parts are written one after the other: fail(ErrorKind::data, path, ": empty
/// file").
template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(kind, text.str());
}

/// For engine and kernels, where every misuse is a failed run: fail("[matmul] inner sizes differ: ", a, " and ", b).
template <class... Parts>
[[noreturn]] void fail(const char* first, const Parts&... parts) {
  fail(ErrorKind::failed, first, parts...);
}

}  // namespace alma
