// alma-bench: times ops and training steps at the workload's shapes on one device.
#include <CLI/CLI.hpp>
#include <iostream>

#include "bench/bench.h"

int main(int argc, char** argv) {
  std::string filter, device = "auto", json;
  int threads = 1;
  CLI::App app("times ops and training steps on one device");
  app.add_option("--filter", filter, "only benchmarks whose name matches this regular expression");
  app.add_option("--device", device, "auto, cpu, cpu:LEVEL, cuda or cuda-sim");
  app.add_option("--threads", threads, "threads inside an op")->check(CLI::Range(1, 1024));
  app.add_option("--json", json, "also write the results to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    alma::Context context(device, threads);
    const alma::BackendInfo info = context.backend().info();
    std::cout << "device " << info.device << ' ' << info.level << ", " << info.hardware << ", " << threads << " threads\n";
    alma::bench::register_ops(context);
    alma::bench::register_steps(context);
    std::vector<std::string> flags{argv[0]};
    if (!filter.empty()) flags.push_back("--benchmark_filter=" + filter);
    if (!json.empty()) flags.insert(flags.end(), {"--benchmark_out=" + json, "--benchmark_out_format=json"});
    std::vector<char*> pointers;
    for (std::string& flag : flags) pointers.push_back(flag.data());
    int count = static_cast<int>(pointers.size());
    benchmark::Initialize(&count, pointers.data());
    benchmark::RunSpecifiedBenchmarks();
    benchmark::ClearRegisteredBenchmarks();  // their tensors must not outlive the context
    benchmark::Shutdown();
  } catch (const alma::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return static_cast<int>(error.kind());
  }
  return 0;
}
