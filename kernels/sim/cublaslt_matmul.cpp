// The heuristic and the product of the simulated cuBLASLt: column-major order unless a layout says otherwise, leading
// dimensions, transposes, batches, epilogues, alignments promised to the heuristic, all checked.
#include <string>
#include <vector>

#include "kernels/sim/control.h"
#include "kernels/sim/cublaslt.h"
#include "kernels/sim/graph.h"
#include "kernels/sim/memory.h"
#include "kernels/sim/stream.h"
#include "kernels/sim/stream_order.h"
#include "kernels/sim/vendor.h"

namespace alma::sim {
namespace {

/// What the heuristic promises and cublasLtMatmul() holds it to; lies inside the opaque algorithm.
struct Algorithm {
  std::uint32_t magic = 0x616c6d61;
  std::uint32_t epilogue = 0;
  std::uint32_t m = 0, n = 0, k = 0, batch = 0;
  std::uint32_t alignment[4] = {};
  std::uint64_t workspace = 0;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

// The simulated algorithm needs none, but says so: memory that is too small or not the device's is then noticed.
constexpr std::uint64_t kWorkspace = 64 * 1024;
constexpr std::int64_t kMaskBits = 128;

constexpr const char* kNames[] = {"A", "B", "C", "D"};

void check_types(const char* call, const Operation& operation, const Operands& x) {
  const bool narrow = x.a->type == CUDA_R_16BF;
  if (x.a->type != x.b->type) fail("[", call, "] A and B have different types");
  if (x.c->type != x.d->type) fail("[", call, "] C and D have different types");
  if (!narrow && x.d->type != CUDA_R_32F) fail("[", call, "] f32 operands give f32, D is bf16");
  if (narrow && operation.compute != CUBLAS_COMPUTE_32F) fail("[", call, "] tf32 multiplies f32 operands, got bf16");
}

void check_layouts(const char* call, const Operands& x) {
  for (int i = 0; i < 4; ++i) {
    const Layout& layout = *x.all(i);
    if (layout.leading < static_cast<std::int64_t>(layout.run()))
      fail("[", call, "] the leading dimension of ", kNames[i], " must be at least ", layout.run(), ", got ",
           layout.leading);
    if (layout.batch != x.d->batch)
      fail("[", call, "] ", kNames[i], " has a batch of ", layout.batch, ", D of ", x.d->batch);
  }
  if (x.d->batch > 1 && static_cast<std::uint64_t>(x.d->stride) < x.d->extent())
    fail("[", call, "] the matrices of D overlap: they are ", x.d->extent(), " elements long, ", x.d->stride, " apart");
}

void check_epilogue(const char* call, const Operation& operation, const Algorithm& sizes, int batch) {
  const Tail tail = tail_of(operation.epilogue, call);
  if (tail.gradient() && batch > 1) fail("[", call, "] masks and bias gradients of a batch are not simulated");
  if (tail.mask && (operation.aux_leading % kMaskBits != 0 || operation.aux_leading < sizes.m))
    fail("[", call, "] the leading dimension of the mask must be a multiple of 128 and at least ", sizes.m, ", got ",
         operation.aux_leading);
}

// The sizes of the product, if operation and layouts agree.
Algorithm problem(const char* call, const Operation& operation, const Operands& x) {
  const bool ta = operation.transpose_a != CUBLAS_OP_N, tb = operation.transpose_b != CUBLAS_OP_N;
  Algorithm sizes;
  sizes.m = static_cast<std::uint32_t>(ta ? x.a->columns : x.a->rows);
  sizes.k = static_cast<std::uint32_t>(ta ? x.a->rows : x.a->columns);
  sizes.n = static_cast<std::uint32_t>(tb ? x.b->rows : x.b->columns);
  sizes.batch = static_cast<std::uint32_t>(x.d->batch);
  sizes.epilogue = operation.epilogue;
  const std::uint64_t k_of_b = tb ? x.b->columns : x.b->rows;
  if (sizes.m == 0 || sizes.n == 0 || sizes.k == 0)
    fail("[", call, "] empty product: m ", sizes.m, ", n ", sizes.n, ", k ", sizes.k);
  if (k_of_b != sizes.k) fail("[", call, "] inner sizes differ: op(A) has ", sizes.k, " columns, op(B) ", k_of_b, " rows");
  for (const Layout* layout : {x.c, x.d}) {
    if (layout->rows != sizes.m || layout->columns != sizes.n)
      fail("[", call, "] ", layout == x.c ? "C" : "D", " must be ", sizes.m, " x ", sizes.n, ", got ", layout->rows, " x ",
           layout->columns);
  }
  check_types(call, operation, x);
  check_layouts(call, x);
  check_epilogue(call, operation, sizes, x.d->batch);
  return sizes;
}

void check_memory(const char* call, const Operation& operation, const Operands& x, const Memory& memory,
                  const Algorithm& algorithm, bool reads_c, StreamWork& work) {
  const Use uses[] = {Use::read, Use::read, reads_c ? Use::read : Use::none, Use::write};
  std::vector<Range> ranges;
  for (int i = 0; i < 4; ++i) {
    const Layout& layout = *x.all(i);
    const std::size_t element = layout.element_size();
    require_device(memory.all(i), layout.bytes(), call, kNames[i], Use::none);
    for (std::int64_t b = 0; b < layout.batch; ++b)
      work.touches(static_cast<const char*>(memory.all(i)) + static_cast<std::size_t>(b * layout.stride) * element,
                   layout.run() * element, layout.runs(), static_cast<std::size_t>(layout.leading) * element, kNames[i],
                   uses[i]);
    require_aligned(call, memory.all(i), algorithm.alignment[i], kNames[i], ", as the heuristic was told");
    ranges.push_back({memory.all(i), x.all(i)->bytes(), kNames[i]});
  }
  require_apart(call, ranges[3], ranges[0]);
  require_apart(call, ranges[3], ranges[1]);
  const Tail tail = tail_of(operation.epilogue, call);
  if (tail.bias || tail.sums != Tail::none) {
    const std::int64_t length = tail.sums == Tail::of_b ? algorithm.n : algorithm.m;
    const std::size_t bytes =
        static_cast<std::size_t>(operation.bias_stride * (x.d->batch - 1) + length) * x.d->element_size();
    const Range vector{operation.bias, bytes, tail.bias ? "the bias" : "the bias gradient"};
    work.touches(vector.begin, static_cast<std::size_t>(length) * x.d->element_size(), static_cast<std::size_t>(x.d->batch),
                 static_cast<std::size_t>(operation.bias_stride) * x.d->element_size(), vector.name,
                 tail.bias ? Use::read : Use::write);
    require_apart(call, vector, ranges[3]);
    for (int i = 0; i < 3 && tail.sums != Tail::none; ++i) require_apart(call, vector, ranges[static_cast<std::size_t>(i)]);
  }
  if (tail.mask) {
    const Range mask{operation.aux, static_cast<std::size_t>(operation.aux_leading / 8) * algorithm.n, "the mask"};
    require_device(mask.begin, mask.bytes, call, mask.name, Use::none);
    work.touches(mask.begin, (algorithm.m + 7) / 8, algorithm.n, static_cast<std::size_t>(operation.aux_leading / 8),
                 mask.name, tail.relu_gradient ? Use::read : Use::write);
    require_aligned(call, mask.begin, 16, "the mask");
    for (const Range& range : ranges) require_apart(call, mask, range);
  }
}

/// A product with copies of all that the caller may change afterwards.
struct RecordedMatmul {
  Operation operation;
  Layout a, b, c, d;
  Memory memory;
  Algorithm algorithm;
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
  float alpha = 1, beta = 0;
};

void run(const RecordedMatmul& product, cudaStream_t stream) {
  const char* call = "cublasLtMatmul";
  const Operands operands{&product.a, &product.b, &product.c, &product.d};
  const Algorithm& algorithm = product.algorithm;
  StreamWork work(stream, call);
  if (algorithm.workspace > 0) {
    work.touches(product.workspace, product.workspace_bytes, 1, product.workspace_bytes, "the workspace", Use::write);
    require_aligned(call, product.workspace, kWorkspaceAlignment, "the workspace");
    std::memset(product.workspace, 0xff, algorithm.workspace);
  }
  check_memory(call, product.operation, operands, product.memory, algorithm, product.beta != 0, work);
  count_launch([&] {
    return call + std::string(" ") + std::to_string(algorithm.m) + " x " + std::to_string(algorithm.n) + " x " +
           std::to_string(algorithm.k) + " epilogue " + std::to_string(algorithm.epilogue);
  });
  multiply(product.operation, operands, product.memory, product.alpha, product.beta, pool_of(stream));
}

}  // namespace
}  // namespace alma::sim

using namespace alma::sim;

extern "C" {

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation_handle,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference_handle,
                                              int requested, cublasLtMatmulHeuristicResult_t results[], int* found) {
  const char* call = "cublasLtMatmulAlgoGetHeuristic";
  libraries().get(handle, call);
  const Preference& preference = preferences().get(preference_handle, call);
  if (requested < 1) alma::fail("[", call, "] at least one result must be asked for, got ", requested);
  const Operation& operation = operations().get(operation_handle, call);
  Algorithm algorithm = problem(
      call, operation, {&layouts().get(a, call), &layouts().get(b, call), &layouts().get(c, call), &layouts().get(d, call)});
  *found = 0;
  if (plain_products_only() && tail_of(operation.epilogue, call).gradient()) return CUBLAS_STATUS_NOT_SUPPORTED;
  std::copy(std::begin(preference.alignment), std::end(preference.alignment), algorithm.alignment);
  algorithm.workspace = std::min(kWorkspace, preference.workspace);
  results[0] = {};
  std::memcpy(&results[0].algo, &algorithm, sizeof algorithm);
  results[0].workspaceSize = algorithm.workspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  results[0].wavesCount = 1;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation_handle, const void* alpha,
                              const void* A, cublasLtMatrixLayout_t a, const void* B, cublasLtMatrixLayout_t b,
                              const void* beta, const void* C, cublasLtMatrixLayout_t c, void* D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, std::size_t workspace_bytes,
                              cudaStream_t stream) {
  const char* call = "cublasLtMatmul";
  libraries().get(handle, call);
  const Operation& operation = operations().get(operation_handle, call);
  const Operands operands{&layouts().get(a, call), &layouts().get(b, call), &layouts().get(c, call),
                          &layouts().get(d, call)};
  const Algorithm sizes = problem(call, operation, operands);
  if (algo == nullptr) alma::fail("[", call, "] no algorithm given");
  Algorithm algorithm;
  std::memcpy(static_cast<void*>(&algorithm), algo, sizeof algorithm);
  if (algorithm.magic != sizes.magic) alma::fail("[", call, "] the algorithm does not come from the heuristic");
  if (algorithm.m != sizes.m || algorithm.n != sizes.n || algorithm.k != sizes.k || algorithm.batch != sizes.batch ||
      algorithm.epilogue != sizes.epilogue)
    alma::fail("[", call, "] the algorithm was chosen for another problem: ", algorithm.m, " x ", algorithm.n, " x ",
               algorithm.k, " instead of ", sizes.m, " x ", sizes.n, " x ", sizes.k);
  if (algorithm.workspace > workspace_bytes)
    alma::fail("[", call, "] the algorithm needs ", algorithm.workspace, " bytes of workspace, got ", workspace_bytes);
  require_host(alpha, call, "alpha");
  require_host(beta, call, "beta");
  const RecordedMatmul product{operation,
                               *operands.a,
                               *operands.b,
                               *operands.c,
                               *operands.d,
                               {A, B, C, D},
                               algorithm,
                               workspace,
                               workspace_bytes,
                               *static_cast<const float*>(alpha),
                               *static_cast<const float*>(beta)};
  do_or_record(stream, [product](cudaStream_t target) { run(product, target); });
  return CUBLAS_STATUS_SUCCESS;
}
}
