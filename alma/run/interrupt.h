#pragma once

namespace alma {

/// From now on the first SIGINT or SIGTERM only sets a flag, for the run to save and end with exit code 130; the second one
/// of the same kind ends the process at once.
void catch_interrupts();

/// True once such a signal has arrived.
bool interrupted();

}  // namespace alma
