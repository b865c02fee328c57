#include <dlfcn.h>

#include <unordered_map>

#include "base/error.h"
#include "bench/peers/gemm_systems.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace alma::bench {

namespace {

// CBLAS's constants (cblas.h), whose header would also declare every other function.
constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112;
using Sgemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float* a,
                       int lda, const float* b, int ldb, float beta, float* c, int ldc);

void* openblas_symbol(const char* name) {
  static void* const library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    fail(ErrorKind::usage, "cannot open OpenBLAS: ", dlerror(), "; install it: apt-get install libopenblas0");
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) fail(ErrorKind::usage, "libopenblas.so.0 has no function ", name);
  return symbol;
}

template <class Function>
Function openblas(const char* name) {
  return reinterpret_cast<Function>(openblas_symbol(name));
}

std::function<void()> prepare_matmul(const GemmProblem& p) {
  using dnnl::memory;
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const GemmShape& s = p.shape;
  const auto tag = [](bool transposed) { return transposed ? memory::format_tag::ba : memory::format_tag::ab; };
  const memory::desc a({s.m, s.k}, memory::data_type::f32, tag(s.transpose_a));
  const memory::desc b({s.k, s.n}, memory::data_type::f32, tag(s.transpose_b));
  const memory::desc c({s.m, s.n}, memory::data_type::f32, tag(false));
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc description(engine, a, b, c);
#else
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), engine);
#endif
  const std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, memory(a, engine, const_cast<float*>(p.a))},
                                                  {DNNL_ARG_WEIGHTS, memory(b, engine, const_cast<float*>(p.b))},
                                                  {DNNL_ARG_DST, memory(c, engine, p.c)}};
  return [matmul = dnnl::matmul(description), stream = dnnl::stream(engine), arguments]() mutable {
    matmul.execute(stream, arguments);
    stream.wait();
  };
}

std::function<void()> prepare_sgemm(const GemmProblem& p) {
  return [p] {
    const GemmShape& s = p.shape;
    const dnnl_status_t status = dnnl_sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, 1, p.a,
                                            s.transpose_a ? s.m : s.k, p.b, s.transpose_b ? s.k : s.n, 0, p.c, s.n);
    if (status != dnnl_success) fail("[dnnl_sgemm] refused ", s.name, " with status ", static_cast<int>(status));
  };
}

std::function<void()> prepare_openblas(const GemmProblem& p) {
  static const auto sgemm = openblas<Sgemm>("cblas_sgemm");
  return [p] {
    const GemmShape& s = p.shape;
    const int m = static_cast<int>(s.m), n = static_cast<int>(s.n), k = static_cast<int>(s.k);
    sgemm(kRowMajor, s.transpose_a ? kTransposed : kPlain, s.transpose_b ? kTransposed : kPlain, m, n, k, 1, p.a,
          s.transpose_a ? m : k, p.b, s.transpose_b ? k : n, 0, p.c, n);
  };
}

}  // namespace

std::vector<GemmSystem> onednn_systems() { return {{"oneDNN sgemm", prepare_sgemm}, {"oneDNN matmul", prepare_matmul}}; }

std::string onednn_version() {
  const dnnl::version_t* version = dnnl::version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch);
}

GemmSystem openblas_system() {
  openblas<void (*)(int)>("openblas_set_num_threads")(1);
  return {"OpenBLAS", prepare_openblas};
}

std::string openblas_description() {
  return std::string(openblas<char* (*)()>("openblas_get_config")()) + ", kernels " +
         openblas<char* (*)()>("openblas_get_corename")() + ", " +
         std::to_string(openblas<int (*)()>("openblas_get_num_threads")()) + " thread";
}

}  // namespace alma::bench
