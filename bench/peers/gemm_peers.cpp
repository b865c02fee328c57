// alma-gemm-peers: the products of the workload by this project's cpu backend and by the libraries that others use, on one
// thread, in one process, in turn; thread CPU time, medians. Run it through bench/peers/compare-gemm.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <regex>

#include "base/random.h"
#include "bench/ceiling_loops.h"
#include "bench/peers/gemm_systems.h"
#include "kernels/open_backend.h"

namespace alma::bench {

namespace {

struct Options {
  std::string filter, device = "cpu", json;
  int rounds = 7;
  double window = 2e-3;  // least seconds of one measurement
};

double cpu_seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// f32 memory of the backend, which the host can access.
class Buffer {
 public:
  Buffer(Backend& backend, std::int64_t count)
      : backend_(backend), data_(static_cast<float*>(backend.allocate(static_cast<std::size_t>(count) * sizeof(float)))) {}
  ~Buffer() { backend_.deallocate(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* data() const { return data_; }

 private:
  Backend& backend_;
  float* data_;
};

GemmSystem own_system(Backend& backend) {
  return {"alma", [&backend](const GemmProblem& p) {
            const GemmShape& s = p.shape;
            const In a{p.a, DType::f32, s.transpose_a ? Shape{s.k, s.m} : Shape{s.m, s.k}};
            const In b{p.b, DType::f32, s.transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n}};
            const Out c{p.c, DType::f32, {s.m, s.n}};
            return [&backend, a, b, c, s] { backend.matmul(a, s.transpose_a, b, s.transpose_b, c, {}, Math::f32); };
          }};
}

/// 200 elements of C against double precision; a wrong result ends the program. Rounding of a sum in any order stays far
/// below the bound, a wrong index far above it.
void check_result(const GemmProblem& p, const std::string& system) {
  const GemmShape& s = p.shape;
  RandomStream random(0, "sample");
  for (int i = 0; i < 200; ++i) {
    const auto row = static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(s.m)));
    const auto column = static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(s.n)));
    double sum = 0, size = 0;
    for (std::int64_t j = 0; j < s.k; ++j) {
      const double product = static_cast<double>(p.a[s.transpose_a ? j * s.m + row : row * s.k + j]) *
                             static_cast<double>(p.b[s.transpose_b ? column * s.k + j : j * s.n + column]);
      sum += product;
      size += std::abs(product);
    }
    const auto found = static_cast<double>(p.c[row * s.n + column]);
    if (!(std::abs(found - sum) <= 1e-5 * size + 1e-30))
      fail("[gemm] ", system, " is wrong for ", s.name, ": C[", row, ", ", column, "] = ", found, ", expected ", sum);
  }
}

/// One system on one product: the number of calls that fill the window, and the rates of the rounds.
struct Contender {
  std::string name;
  std::function<void()> work;
  std::int64_t calls = 1;
  std::vector<double> gflops;

  double time() const {
    const double start = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    for (std::int64_t i = 0; i < calls; ++i) work();
    return cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
  }
};

/// Medians in GFLOP/s.
struct Row {
  GemmShape shape;
  std::vector<double> gflops;  // by system, alma first
  double peak = 0;             // multiply-adds in registers, measured in the same rounds
};

/// Every round gives each system and the multiply-add loop one window; each round begins with another of them.
Row measure(Backend& backend, const std::vector<GemmSystem>& systems, const GemmShape& s, const Options& options) {
  const Buffer a(backend, s.m * s.k), b(backend, s.k * s.n), c(backend, s.m * s.n);
  RandomStream random(0, s.name);
  for (std::int64_t i = 0; i < s.m * s.k; ++i) a.data()[i] = static_cast<float>(random.uniform(-1, 1));
  for (std::int64_t i = 0; i < s.k * s.n; ++i) b.data()[i] = static_cast<float>(random.uniform(-1, 1));
  const GemmProblem problem{s, a.data(), b.data(), c.data()};

  std::vector<Contender> contenders;
  for (const GemmSystem& system : systems) {
    std::fill_n(c.data(), s.m * s.n, std::nanf(""));
    contenders.push_back({system.name, system.prepare(problem), 1, {}});
    contenders.back().work();
    check_result(problem, system.name);
  }
  const CeilingLoops loops = ceiling_loops(backend.info().level);
  double peak_flops = 0;  // of one call
  contenders.push_back({"peak", [&] { peak_flops = loops.multiply_add(1000); }, 1, {}});
  for (Contender& contender : contenders)
    while (contender.time() < options.window) contender.calls *= 2;

  for (std::size_t round = 0; round < static_cast<std::size_t>(options.rounds); ++round)
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      Contender& contender = contenders[(round + i) % contenders.size()];
      const double seconds = contender.time();
      const double flops = &contender == &contenders.back()
                               ? peak_flops
                               : 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
      contender.gflops.push_back(1e-9 * flops * static_cast<double>(contender.calls) / seconds);
    }
  Row row{s, {}, median(contenders.back().gflops)};
  contenders.pop_back();
  for (const Contender& contender : contenders) row.gflops.push_back(median(contender.gflops));
  return row;
}

double best_peer(const Row& row) { return *std::max_element(row.gflops.begin() + 1, row.gflops.end()); }
double best_onednn(const Row& row) { return std::max(row.gflops[1], row.gflops[2]); }

void print_header(const std::vector<GemmSystem>& systems) {
  std::string names, line;
  for (const GemmSystem& system : systems) names += " " + system.name + " |", line += "---|";
  std::cout << "| C [m, n] = op(A) op(B), GFLOP/s | m, n, k |" << names
            << " peak | alma / best | alma / oneDNN | alma, of peak |\n"
            << "|---|---|" << line << "---|---|---|---|\n";
}

void print_row(const Row& row) {
  const GemmShape& s = row.shape;
  std::printf("| %s | %lld, %lld, %lld%s%s |", s.name, static_cast<long long>(s.m), static_cast<long long>(s.n),
              static_cast<long long>(s.k), s.transpose_a ? ", A^T" : "", s.transpose_b ? ", B^T" : "");
  for (double rate : row.gflops) std::printf(rate < 10 ? " %.1f |" : " %.0f |", rate);
  std::printf(" %.0f | %.2f | %.2f | %.0f %% |\n", row.peak, row.gflops[0] / best_peer(row),
              row.gflops[0] / best_onednn(row), 100 * row.gflops[0] / row.peak);
  std::fflush(stdout);
}

void print_summary(const std::vector<Row>& rows) {
  double to_best = 0, to_onednn = 0;
  int wins = 0;
  for (const Row& row : rows) {
    to_best += std::log(row.gflops[0] / best_peer(row));
    to_onednn += std::log(row.gflops[0] / best_onednn(row));
    wins += row.gflops[0] >= best_peer(row);
  }
  const auto count = static_cast<double>(rows.size());
  std::printf("\n%zu products: alma is the fastest in %d; geometric mean alma / best %.2f, alma / oneDNN %.2f\n",
              rows.size(), wins, std::exp(to_best / count), std::exp(to_onednn / count));
}

void write_json(const std::string& path, const std::vector<GemmSystem>& systems, const std::vector<Row>& rows) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    const GemmShape& s = row.shape;
    nlohmann::ordered_json entry{{"name", s.name},
                                 {"m", s.m},
                                 {"n", s.n},
                                 {"k", s.k},
                                 {"transpose_a", s.transpose_a},
                                 {"transpose_b", s.transpose_b},
                                 {"peak_gflops", row.peak}};
    for (std::size_t i = 0; i < systems.size(); ++i) entry["gflops"][systems[i].name] = row.gflops[i];
    all.push_back(entry);
  }
  std::ofstream file(path);
  file << all.dump(1) << '\n';
  if (!file.flush()) fail(ErrorKind::usage, "cannot write ", path);
}

/// Checks the environment variables that the libraries read when they are loaded, before the program starts.
void check_environment() {
  for (const char* name : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"})
    if (std::getenv(name) != nullptr)
      fail(ErrorKind::usage, name, " is set and changes OpenBLAS's kernels; run bench/peers/compare-gemm, which unsets it");
  const char* threads = std::getenv("OMP_NUM_THREADS");
  if (threads == nullptr || std::string(threads) != "1")
    fail(ErrorKind::usage, "OMP_NUM_THREADS is ", threads == nullptr ? "not set" : threads,
         ", expected 1 (oneDNN's threads); run bench/peers/compare-gemm, which sets it");
}

void run(const Options& options) {
  check_environment();
  const std::unique_ptr<Backend> backend = open_backend(options.device, {});
  const BackendInfo info = backend->info();
  if (info.device != "cpu") fail(ErrorKind::usage, "--device ", options.device, ": the libraries run on the cpu alone");
  std::vector<GemmSystem> systems{own_system(*backend)};
  for (GemmSystem& system : onednn_systems()) systems.push_back(std::move(system));
  systems.push_back(openblas_system());
  systems.push_back({"Eigen", [](const GemmProblem& problem) { return [problem] { eigen_multiply(problem); }; }});
  std::cout << "alma " << info.level << " on " << info.hardware << "; oneDNN " << onednn_version() << ", OMP_NUM_THREADS=1; "
            << openblas_description() << "; " << eigen_description() << "\none thread, thread CPU time, medians of "
            << options.rounds << " rounds\n\n";
  const std::regex filter(options.filter);
  std::vector<Row> rows;
  print_header(systems);
  for (const GemmShape& shape : kGemmShapes) {
    if (!std::regex_search(shape.name, filter)) continue;
    rows.push_back(measure(*backend, systems, shape, options));
    print_row(rows.back());
  }
  if (rows.empty()) fail(ErrorKind::usage, "--filter ", options.filter, " matches no product of bench/gemm_shapes.h");
  print_summary(rows);
  const double all = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID), one = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
  if (all > 1.05 * one + 0.1)
    fail("the process used ", all, " s of CPU, its measuring thread ", one, " s: a library worked on other threads");
  if (!options.json.empty()) write_json(options.json, systems, rows);
}

}  // namespace

}  // namespace alma::bench

int main(int argc, char** argv) {
  alma::bench::Options options;
  CLI::App app("products of the workload: alma's cpu backend against oneDNN, OpenBLAS and Eigen, one thread");
  app.add_option("--filter", options.filter, "only products whose name matches this regular expression");
  app.add_option("--rounds", options.rounds, "medians of so many rounds")->check(CLI::Range(1, 1000));
  app.add_option("--device", options.device, "cpu or cpu:LEVEL");
  app.add_option("--json", options.json, "also write the results to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    alma::bench::run(options);
  } catch (const std::regex_error& error) {
    std::cerr << "error: --filter " << options.filter << " is no regular expression: " << error.what() << '\n';
    return 2;
  } catch (const alma::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return static_cast<int>(error.kind());
  }
  return 0;
}
