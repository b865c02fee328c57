#pragma once
#include <functional>

namespace alma {

/// Runs `command` and writes the exception that it throws to standard error as "error: ...". Returns the exit code.
int exit_code_of(const std::function<int()>& command);

}  // namespace alma
