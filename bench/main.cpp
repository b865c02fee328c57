// alma-bench: times primitives, ops, the tape and training steps at the workload's shapes on one device, each against the
// peak rates of the machine.
#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>

#include "base/files.h"
#include "bench/bench.h"
#include "bench/report.h"

namespace {

using namespace alma;
using namespace alma::bench;

struct Options {
  std::string filter, device = "auto", json, counters;
  int threads = 1, repetitions = 1;
  double min_seconds = 0.1;
  bool quick = false;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("--filter", options.filter, "run only benchmarks whose name matches this regular expression");
  app.add_option("--device", options.device, "device to use: auto, cpu, cpu:LEVEL, cuda, cuda:N or cuda-sim");
  app.add_option("--threads", options.threads, "number of threads within an operation")->check(CLI::Range(1, 1024));
  app.add_option("--json", options.json, "also write the results to this file, for bench/compare");
  app.add_option("--counters", options.counters, "with cuda-sim: write the kernels' memory accesses to this file");
  app.add_option("--min-time", options.min_seconds, "least number of seconds per benchmark")
      ->check(CLI::Range(1e-6, 3600.0))
      ->capture_default_str();
  app.add_option("--repetitions", options.repetitions,
                 "number of repetitions of each benchmark; tells bench/compare the noise")
      ->check(CLI::Range(1, 1000));
  app.add_flag("--quick", options.quick,
               "run each benchmark only briefly and leave out large products, to see that everything runs");
}

std::regex parse_filter(const std::string& filter) {
  try {
    return std::regex(filter);
  } catch (const std::regex_error& error) {
    fail(ErrorKind::usage, "--filter ", filter, " is not a regular expression: ", error.what(),
         "; expected one such as ^gemm/");
  }
}

Suite make_suite(alma::Context& context, const Options& options) {
  const BackendInfo info = context.backend().info();
  Suite suite{
      context, measure_ceilings(context, options.quick), options.min_seconds, options.quick, 0, 0, true, {}, 0, {}, {},
      nullptr};
  if (!options.filter.empty()) suite.filter = parse_filter(options.filter);
  if (options.quick) suite.min_seconds = 0.0005;
  // The simulator computes about a thousand times slower than the processor that it runs on.
  suite.flops_limit = info.device == "cuda-sim" ? 2e6 : options.quick ? 2e8 : 0;
  suite.bytes_limit = info.device == "cuda-sim" ? 8e6 : options.quick ? 2e7 : 0;
  suite.cpu_clock = info.device == "cpu" && options.threads == 1;
  return suite;
}

void print_head(const Suite& suite) {
  const BackendInfo info = suite.context.backend().info();
  std::cout << "device " << info.device << ' ' << info.level << ", " << info.hardware << ", " << suite.context.threads()
            << " threads; " << (suite.cpu_clock ? "CPU time of one thread" : "time by the clock") << "\nceilings "
            << describe(suite.ceilings) << '\n';
  if (suite.ceilings.flops == 0)
    std::cout << "no ceiling for FLOP/s on this device: share refers to the copy's GB/s alone\n";
  for (const std::string& name : suite.left_out) std::cout << "left out, too large for this device: " << name << '\n';
  std::cout << std::endl;
}

void run_benchmarks(const char* program, const Suite& suite, const Options& options, const std::string& raw) {
  std::vector<std::string> flags{program, "--benchmark_repetitions=" + std::to_string(options.repetitions)};
  if (!raw.empty()) flags.insert(flags.end(), {"--benchmark_out=" + raw, "--benchmark_out_format=json"});
  std::vector<char*> pointers;
  for (std::string& flag : flags) pointers.push_back(flag.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  TableReporter reporter(suite);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::ClearRegisteredBenchmarks();  // their tensors must not outlive the context
  benchmark::Shutdown();
}

int run(const char* program, const Options& options) {
  alma::Context context(options.device, options.threads);
  Suite suite = make_suite(context, options);
  Counters counters;
  if (!options.counters.empty()) {
    if (context.backend().info().device != "cuda-sim")
      fail(ErrorKind::usage, "--counters goes with --device cuda-sim, got ", options.device);
    const File writable(options.counters, O_WRONLY | O_CREAT | O_TRUNC);
    suite.counters = &counters;
  }
  for (const auto& register_suite :
       {register_ops, register_memory, register_optimizers, register_tape, register_gemm, register_steps, register_kernels})
    register_suite(suite);
  if (suite.registered == 0)
    fail(ErrorKind::usage, "no benchmark matches --filter ", options.filter, "; without it all of them run");
  std::string raw;
  if (!options.json.empty()) {
    raw = options.json + ".part";
    const File writable(raw, O_WRONLY | O_CREAT | O_TRUNC);  // reports an error before minutes are spent
  }
  print_head(suite);
  run_benchmarks(program, suite, options, raw);
  const Ceilings at_end = measure_ceilings(context, options.quick);
  std::cout << "\nceilings at the end " << describe(at_end) << '\n';
  if (!options.counters.empty()) write_atomically(options.counters, counters.all().dump(1) + "\n");
  if (!raw.empty()) write_json(raw, options.json, suite, at_end);
  for (const std::string& failure : suite.failures) std::cerr << "error: " << failure << '\n';
  return suite.failures.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("times primitives, ops, the tape and training steps on one device");
  add_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    return run(argv[0], options);
  } catch (const alma::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return static_cast<int>(error.kind());
  }
}
