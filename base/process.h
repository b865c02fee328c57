#pragma once

namespace alma {

/// Repairs the environment that this process has inherited; for the first line of main():
/// - of the standard streams those that are closed lead to /dev/null, or a file that is opened later would take their place
///   and get what is written to them;
/// - a file that would grow beyond the limit of its size is an error of write() (EFBIG), not the end by SIGXFSZ;
/// - children that have ended can be waited for, also if SIGCHLD was ignored.
/// Throws Error (failed) if /dev/null cannot be opened.
void prepare_process();

/// For commands whose result goes to standard output: throws Error (failed) if it was closed at the start.
void require_standard_output();

}  // namespace alma
