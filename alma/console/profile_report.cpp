#include "alma/console/profile_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "alma/console/text.h"
#include "alma/learn/metrics.h"
#include "base/files.h"

namespace alma {

namespace {

using Rows = std::map<std::string_view, ProfileRow>;

std::int64_t total_nanoseconds(const Rows& rows) {
  std::int64_t sum = 0;
  for (const auto& [name, row] : rows) sum += row.nanoseconds;
  return sum;
}

Cost total_cost(const Rows& rows) {
  Cost sum;
  for (const auto& [name, row] : rows) sum += row.cost;
  return sum;
}

// The longest first.
std::vector<std::pair<std::string_view, ProfileRow>> by_time(const Rows& rows) {
  std::vector<std::pair<std::string_view, ProfileRow>> sorted(rows.begin(), rows.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.nanoseconds > b.second.nanoseconds; });
  return sorted;
}

std::string line(const char* format, auto... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

// 10^9 per second is one per nanosecond.
std::string rate(Count count, std::int64_t nanoseconds) {
  if (count == 0 || nanoseconds == 0) return "-";
  return fixed(static_cast<double>(count) / static_cast<double>(nanoseconds), 2);
}

std::string count_or_dash(Count count) { return count == 0 ? "-" : scaled(count); }

double percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string table_row(std::string_view name, const ProfileRow& row, std::int64_t whole) {
  return line("  %-22.*s %10s %9.3f %6.1f%% %10.2f %9s %9s %8s %8s\n", static_cast<int>(name.size()), name.data(),
              grouped(row.calls).c_str(), static_cast<double>(row.nanoseconds) / 1e9, percent(row.nanoseconds, whole),
              static_cast<double>(row.nanoseconds) / 1e3 / static_cast<double>(row.calls),
              count_or_dash(row.cost.bytes).c_str(), count_or_dash(row.cost.flops).c_str(),
              rate(row.cost.bytes, row.nanoseconds).c_str(), rate(row.cost.flops, row.nanoseconds).c_str());
}

std::string rest_row(const char* name, std::int64_t nanoseconds, std::int64_t whole) {
  return line("  %-22s %10s %9.3f %6.1f%%\n", name, "", static_cast<double>(nanoseconds) / 1e9, percent(nanoseconds, whole));
}

std::string lane_table(const LaneProfile& lane, std::int64_t whole, bool first) {
  std::string text = line("\n  %-22s %10s %9s %7s %10s %9s %9s %8s %8s\n", lane.name.c_str(), "calls", "seconds", "share",
                          "mean us", "bytes", "FLOPs", "GB/s", "GFLOP/s");
  for (const auto& [name, row] : by_time(lane.primitives)) text += table_row(name, row, whole);
  std::int64_t rest = whole - total_nanoseconds(lane.primitives);
  if (const auto loading = lane.phases.find(kLoadingData); loading != lane.phases.end()) {
    text += rest_row(kLoadingData, loading->second.nanoseconds, whole);
    rest -= loading->second.nanoseconds;
  }
  // Only the first lane is active all the time.
  text += rest_row(first ? "engine and loop" : "engine and waiting", rest, whole);
  const Cost cost = total_cost(lane.primitives);
  text += line("  %-22s %10s %9.3f %6.1f%% %10s %9s %9s\n", "the run", "", static_cast<double>(whole) / 1e9, 100.0, "",
               count_or_dash(cost.bytes).c_str(), count_or_dash(cost.flops).c_str());
  if (lane.phases.empty()) return text;
  text += line("\n  %-22s %10s %9s %7s %10s\n", "phases", "calls", "seconds", "share", "mean us");
  for (const auto& [name, row] : by_time(lane.phases))
    text += line("  %-22.*s %10s %9.3f %6.1f%% %10.2f\n", static_cast<int>(name.size()), name.data(),
                 grouped(row.calls).c_str(), static_cast<double>(row.nanoseconds) / 1e9, percent(row.nanoseconds, whole),
                 static_cast<double>(row.nanoseconds) / 1e3 / static_cast<double>(row.calls));
  return text;
}

nlohmann::ordered_json rows_to_json(const Profile& profile, Rows LaneProfile::*rows) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const LaneProfile& lane : profile.lanes)
    for (const auto& [name, row] : by_time(lane.*rows))
      all.push_back({{"lane", lane.name},
                     {"name", name},
                     {"calls", row.calls},
                     {"seconds", static_cast<double>(row.nanoseconds) / 1e9},
                     {"bytes", count_to_json(row.cost.bytes)},
                     {"flops", count_to_json(row.cost.flops)}});
  return all;
}

// "[128, 784] [4, 784] [128, 4]".
void append_shapes(std::string& text, const LaneProfile& lane, const ProfileEvent& event) {
  const std::size_t end = event.first_size + event.sizes;
  for (std::size_t at = event.first_size; at < end;) {
    if (at != event.first_size) text += ' ';
    text += '[';
    const std::size_t last = at + static_cast<std::size_t>(lane.sizes[at]);
    for (++at; at <= last; ++at) {
      text += std::to_string(lane.sizes[at]);
      if (at != last) text += ", ";
    }
    text += ']';
  }
}

// Hundreds of thousands of events are written as text directly, because a JSON tree of them takes ten times the memory.
void append_event(std::string& text, const LaneProfile& lane, const ProfileEvent& event, std::size_t thread) {
  text += line(",\n{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":%zu,\"ts\":%.3f,\"dur\":%.3f,\"args\":{",
               event.name, event.phase ? "phase" : "primitive", thread, static_cast<double>(event.start) / 1e3,
               static_cast<double>(event.duration) / 1e3);
  if (event.sizes != 0) {
    text += "\"shapes\":\"";
    append_shapes(text, lane, event);
    text += "\",";
  }
  if (*event.detail != '\0') text += line("\"form\":\"%s\",", event.detail);
  text += line("\"bytes\":%llu,\"flops\":%llu}}", static_cast<unsigned long long>(event.bytes),
               static_cast<unsigned long long>(event.flops));
}

}  // namespace

std::string profile_table(const Profile& profile, const ProfileFacts& facts) {
  std::string text = "profile of " + fixed(static_cast<double>(profile.nanoseconds) / 1e9, 3) + " s on " +
                     facts.backend.device + " " + facts.backend.level + ", " + facts.backend.hardware + ", " +
                     std::to_string(facts.threads) + (facts.threads == 1 ? " thread" : " threads") + "\n";
  if (facts.backend.device != "cpu") text += "  the host waits for the device after every primitive\n";
  for (std::size_t i = 0; i < profile.lanes.size(); ++i) text += lane_table(profile.lanes[i], profile.nanoseconds, i == 0);
  if (profile.dropped != 0)
    text +=
        "\n  profile.json has the first calls; " + grouped(profile.dropped) + " later ones are counted only in this table\n";
  return text;
}

std::string profile_trace(const Profile& profile, const ProfileFacts& facts) {
  nlohmann::ordered_json head = {{"displayTimeUnit", "ms"},
                                 {"otherData",
                                  {{"device", facts.backend.device},
                                   {"level", facts.backend.level},
                                   {"hardware", facts.backend.hardware},
                                   {"threads", facts.threads},
                                   {"seconds", static_cast<double>(profile.nanoseconds) / 1e9},
                                   {"dropped_events", profile.dropped}}},
                                 {"ops", rows_to_json(profile, &LaneProfile::primitives)},
                                 {"phases", rows_to_json(profile, &LaneProfile::phases)}};
  std::string text = head.dump();
  text.pop_back();  // the closing brace
  text += ",\"traceEvents\":[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"alma run\"}}";
  for (std::size_t i = 0; i < profile.lanes.size(); ++i) {
    const LaneProfile& lane = profile.lanes[i];
    const nlohmann::ordered_json name = {
        {"name", "thread_name"}, {"ph", "M"}, {"pid", 1}, {"tid", i + 1}, {"args", {{"name", lane.name}}}};
    text += ",\n" + name.dump();
    for (const ProfileEvent& event : lane.events) append_event(text, lane, event, i + 1);
  }
  return text + "\n]}\n";
}

void save_profile(const Profiler& profiler, const ProfileFacts& facts, const std::filesystem::path& folder,
                  Console& console) {
  const Profile profile = profiler.snapshot();
  const std::string table = profile_table(profile, facts);
  write_atomically(folder / "profile.json", profile_trace(profile, facts));
  write_atomically(folder / "profile.txt", table);
  console.say("\n" + table + "\n  trace                  " + (folder / "profile.json").string() +
              ", for ui.perfetto.dev or chrome://tracing");
}

}  // namespace alma
