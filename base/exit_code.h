#pragma once
#include <functional>

namespace alma {

/// What the program does with errors: runs `command`, and writes what it throws to standard error as "error: ...". Returns
/// the exit code.
int exit_code_of(const std::function<int()>& command);

}  // namespace alma
