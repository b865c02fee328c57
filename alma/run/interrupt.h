#pragma once

namespace alma {

// The signals that request an end: SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU, SIGUSR1 and SIGUSR2 (batch systems
// send the last three before a time limit). A signal that was ignored when the program started stays ignored, as nohup needs
// it; a signal that was blocked is unblocked.

/// From now on such a signal ends the process immediately with exit code 130; for work that has nothing to save.
void end_when_interrupted();

/// From now on the first such signal only sets a flag, so that the work can save and end with exit code 130. A second signal
/// of the same kind has its usual effect, for a user who does not want to wait. Two exceptions: within 0.1 s, since one
/// request may arrive twice (from `timeout`, or from the shell and the kernel when a terminal closes), and SIGXCPU, which
/// comes every second. A closed output pipe (SIGPIPE) does not end the work.
void catch_interrupts();

/// The same for the given signal, whether it was ignored or not.
void catch_interrupt(int signal);

/// Whether such a signal has arrived.
bool interrupted();

}  // namespace alma
