#include "bench/report.h"

#include <algorithm>
#include <cstdio>

#include "alma/config/build_info.h"
#include "base/files.h"

namespace alma::bench {

namespace {

bool is_manual(const std::string& name) { return name.find("/manual_time") != name.npos; }

// Google Benchmark writes settings into the names, before the suffix of an aggregate.
std::string plain_name(const std::string& name) {
  static const std::regex settings("/(min_time:[0-9.e+-]+|repeats:[0-9]+|manual_time|real_time)");
  return std::regex_replace(name, settings, "");
}

std::string cell(const benchmark::UserCounters& counters, const char* name, double scale, const char* format) {
  const auto at = counters.find(name);
  if (at == counters.end() || at->second.value == 0) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, at->second.value * scale);
  return text;
}

void line(const std::string& name, const std::string& time, const std::string& bytes, const std::string& flops,
          const std::string& share, const std::string& more) {
  std::printf("%-46s %12s %9s %9s %8s%s\n", name.c_str(), time.c_str(), bytes.c_str(), flops.c_str(), share.c_str(),
              more.c_str());
  std::fflush(stdout);
}

double scale_to_ns(const std::string& unit) { return unit == "ns" ? 1 : unit == "us" ? 1e3 : unit == "ms" ? 1e6 : 1e9; }

}  // namespace

bool TableReporter::ReportContext(const Context&) {
  line("benchmark", "us", "GB/s", "GFLOP/s", "share", "");
  return true;
}

void TableReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs)
    if (run.run_type == Run::RT_Iteration || run.aggregate_name == "median") row(run);
}

void TableReporter::row(const Run& run) const {
  const std::string name = run.benchmark_name(), plain = plain_name(name);
  for (const std::string& failure : suite_.failures)
    if (failure.starts_with(plain + ": ")) return line(plain, "failed", "", "", "", "");
  const double time = is_manual(name) || !suite_.cpu_clock ? run.GetAdjustedRealTime() : run.GetAdjustedCPUTime();
  char us[64];
  std::snprintf(us, sizeof us, "%.3f", time);
  std::string more;
  for (const auto& [key, counter] : run.counters) {
    if (key == "bytes_per_second" || key == "FLOP/s" || key == "share") continue;
    char text[128];
    std::snprintf(text, sizeof text, "  %s %.4f", key.c_str(), counter.value);
    more += text;
  }
  line(plain, us, cell(run.counters, "bytes_per_second", 1e-9, "%.2f"), cell(run.counters, "FLOP/s", 1e-9, "%.2f"),
       cell(run.counters, "share", 100, "%.1f%%"), more);
}

void write_json(const std::filesystem::path& raw, const std::filesystem::path& json, const Suite& suite,
                const Ceilings& at_end) {
  nlohmann::ordered_json all = nlohmann::ordered_json::parse(read_text(raw).value_or(""), nullptr, false);
  if (!all.is_object()) fail(ErrorKind::failed, raw.string(), ": Google Benchmark has not written a JSON file");
  const BackendInfo info = suite.context.backend().info();
  all["context"]["alma"] = {{"version", version()},
                            {"device", info.device},
                            {"level", info.level},
                            {"hardware", info.hardware},
                            {"libraries", info.versions},
                            {"threads", suite.context.threads()},
                            {"clock", suite.cpu_clock ? "cpu" : "real"},
                            {"quick", suite.quick},
                            {"ceilings", {{"start", to_json(suite.ceilings)}, {"end", to_json(at_end)}}}};
  for (nlohmann::ordered_json& benchmark : all["benchmarks"]) {
    const std::string name = benchmark.at("name");
    const bool real = is_manual(name) || !suite.cpu_clock;
    benchmark["name"] = plain_name(name);
    benchmark["run_name"] = plain_name(benchmark.at("run_name"));
    benchmark["clock"] = suite.cpu_clock ? "cpu" : "real";
    const char* key = real ? "real_time" : "cpu_time";
    if (benchmark.contains(key) && benchmark.value("aggregate_unit", "time") == "time")
      benchmark["time_ns"] = benchmark.at(key).get<double>() * scale_to_ns(benchmark.value("time_unit", "ns"));
  }
  write_atomically(json, all.dump(1) + "\n");
  std::filesystem::remove(raw);
}

}  // namespace alma::bench
