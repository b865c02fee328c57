#include "base/exit_code.h"

#include <cstdio>
#include <iostream>
#include <new>

#include "base/error.h"

namespace alma {

namespace {

int report(int code, const char* what) {
  std::cout << std::flush;
  std::cerr << "error: " << what << '\n';
  return code;
}

}  // namespace

int exit_code_of(const std::function<int()>& command) {
  try {
    const int code = command();
    if (code == 0 && (!(std::cout << std::flush) || std::ferror(stdout) != 0))
      return report(1, "cannot write standard output");
    return code;
  } catch (const Error& error) {
    return report(static_cast<int>(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return report(1, "out of memory; a smaller model, batch size or data set needs less");
  } catch (const std::exception& error) {
    return report(1, error.what());
  }
}

}  // namespace alma
