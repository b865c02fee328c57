#pragma once

namespace alma {

// Signals that ask for an end: SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGXCPU, SIGUSR1 and SIGUSR2 (batch systems send
// those before a time limit). One that was ignored when the program started stays so, as nohup wants it; one that was
// blocked is let through.

/// From now on such a signal ends the process at once with exit code 130: for work that has nothing to save.
void end_when_interrupted();

/// From now on the first such signal only sets a flag, for the work to save and end with exit code 130. A second one of the
/// same kind has its usual effect, for a user who does not want to wait: but not within 0.1 s, since one request may arrive
/// twice (from `timeout`, or the shell and the kernel when a terminal goes away), nor SIGXCPU, which comes every second.
/// Output that nobody reads any more (SIGPIPE) does not end the work.
void catch_interrupts();

/// The same for a signal of one's own choice, ignored or not.
void catch_interrupt(int signal);

/// True once such a signal has arrived.
bool interrupted();

}  // namespace alma
