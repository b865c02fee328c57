#pragma once
#include <filesystem>
#include <string>

#include "alma/console/console.h"
#include "engine/context.h"

namespace alma {

/// The phase before the run proper. It has a row of its own in the table, since it is not part of "engine and loop".
inline constexpr const char* kLoadingData = "loading data";

/// The conditions under which a profile was made.
struct ProfileFacts {
  BackendInfo backend;
  int threads = 1;
};

/// A table for people: for each primitive the calls, time, share of the whole run, mean time, bytes, FLOPs and rates; for
/// each phase the calls and time. "engine and loop" is the run's time outside of primitives.
std::string profile_table(const Profile& profile, const ProfileFacts& facts);

/// Chrome's Trace Event Format, for chrome://tracing and ui.perfetto.dev: one complete event per primitive and phase, with
/// arrays, bytes and FLOPs; one thread per lane. The keys "ops" and "phases" have the sums per lane over all calls,
/// including those that are not among the events.
std::string profile_trace(const Profile& profile, const ProfileFacts& facts);

/// Writes profile.json and profile.txt into `folder` and prints the table on `console`.
void save_profile(const Profiler& profiler, const ProfileFacts& facts, const std::filesystem::path& folder,
                  Console& console);

}  // namespace alma
