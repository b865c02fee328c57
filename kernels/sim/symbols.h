#pragma once
#include <string>

namespace alma::sim {

/// The name of a kernel, "softmax_kernel<4, 4>", from the symbol table of the program or library that holds it. A
/// launch gets a pointer alone, and the names of hidden functions are not known to dladdr(). "the kernel" if the
/// table was stripped.
std::string kernel_name(const void* kernel);

}  // namespace alma::sim
