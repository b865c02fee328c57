// The convolutions of the simulated cuDNN, executed in memory as the chosen engine would.
#include <atomic>
#include <cmath>
#include <string>

#include "kernels/bf16.h"
#include "kernels/sim/control.h"
#include "kernels/sim/cudnn.h"
#include "kernels/sim/graph.h"
#include "kernels/sim/memory.h"
#include "kernels/sim/stream_order.h"
#include "kernels/sim/vendor.h"

namespace alma::sim {
namespace {

const char* const kCall = "cudnnBackendExecute";

struct Memory {
  void *x = nullptr, *w = nullptr, *y = nullptr;
};

void* pointer_of(const CudnnObject& pack, std::int64_t id) {
  const auto ids = pack.values<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.values<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == id) return pointers[i];
  fail("[", kCall, "] the variant pack has no tensor ", id);
}

void check_tensor(const CudnnConvolution::Tensor& tensor, const void* memory, const char* name, Use use, StreamWork& work) {
  work.touches(memory, tensor.bytes, 1, tensor.bytes, name, use);
  require_aligned(kCall, memory, static_cast<std::uintptr_t>(tensor.alignment), name, ", as its descriptor says");
}

Memory check_memory(const CudnnConvolution& c, const CudnnObject& pack, StreamWork& work) {
  const std::size_t ids = pack.values<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).size();
  if (ids != 3) fail("[", kCall, "] the plan has 3 tensors, the variant pack ", ids);
  const Memory m{pointer_of(pack, c.x.id), pointer_of(pack, c.w.id), pointer_of(pack, c.y.id)};
  auto* workspace = pack.value<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  work.touches(workspace, kCudnnWorkspace, 1, kCudnnWorkspace, "the workspace", Use::write);
  require_aligned(kCall, workspace, kWorkspaceAlignment, "the workspace");
  const Range parts[] = {{m.x, c.x.bytes, "x"}, {m.w, c.w.bytes, "w"}, {m.y, c.y.bytes, "y"}};
  const int out = c.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? 2
                  : c.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? 0
                                                                                           : 1;
  const CudnnConvolution::Tensor* tensors[] = {&c.x, &c.w, &c.y};
  for (int i = 0; i < 3; ++i) {
    check_tensor(*tensors[i], parts[i].begin, parts[i].name, i == out ? Use::write : Use::read, work);
    if (i != out) require_apart(kCall, parts[out], parts[i]);
  }
  require_apart(kCall, parts[out], {workspace, kCudnnWorkspace, "the workspace"});
  std::memset(workspace, 0xff, kCudnnWorkspace);
  return m;
}

std::vector<float> read(const void* memory, const CudnnConvolution::Tensor& tensor, bool narrow, std::int64_t engine) {
  std::vector<float> values(tensor.bytes / (narrow ? 2 : 4));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = narrow ? static_cast<float>(static_cast<const Bf16*>(memory)[i]) : static_cast<const float*>(memory)[i];
    if (engine == engine_of_narrow_inputs) values[i] = static_cast<float>(Bf16(values[i]));
    if (engine == engine_of_tensor_cores) values[i] = to_tf32(values[i]);
  }
  return values;
}

void write(void* memory, const std::vector<float>& values, bool narrow) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (narrow) {
      static_cast<Bf16*>(memory)[i] = Bf16(values[i]);
    } else {
      static_cast<float*>(memory)[i] = values[i];
    }
  }
}

// Calls visit(x, w, y) with the indices of the three elements of every multiplication.
template <class Visit>
void for_each_term(const CudnnConvolution& c, const Visit& visit) {
  const auto &x = c.x.sizes, &w = c.w.sizes, &y = c.y.sizes;
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t k = 0; k < y[1]; ++k)
      for (std::int64_t ch = 0; ch < w[1]; ++ch)
        for (std::int64_t i = 0; i < y[2]; ++i)
          for (std::int64_t r = 0; r < w[2]; ++r) {
            const std::int64_t row = i * c.strides[0] + r - c.paddings[0];
            if (row < 0 || row >= x[2]) continue;
            const std::int64_t plane = n * x[1] + k / (y[1] / c.groups) * w[1] + ch;
            for (std::int64_t j = 0; j < y[3]; ++j)
              for (std::int64_t s = 0; s < w[3]; ++s) {
                const std::int64_t column = j * c.strides[1] + s - c.paddings[1];
                if (column < 0 || column >= x[3]) continue;
                visit(static_cast<std::size_t>((plane * x[2] + row) * x[3] + column),
                      static_cast<std::size_t>(((k * w[1] + ch) * w[2] + r) * w[3] + s),
                      static_cast<std::size_t>(((n * y[1] + k) * y[2] + i) * y[3] + j));
              }
          }
}

void convolve(const CudnnConvolution& c, const Memory& m, std::int64_t engine) {
  std::vector<float> x = read(m.x, c.x, c.narrow, engine), w = read(m.w, c.w, c.narrow, engine),
                     y = read(m.y, c.y, c.narrow, engine);
  const auto start = [](std::vector<float>& result) { std::fill(result.begin(), result.end(), 0.0f); };
  // An engine whose order of summation changes: no call has the bits of the one before.
  static std::atomic<int> calls{0};
  const auto finish = [&](std::vector<float>& result, void* memory) {
    if (engine == engine_without_order) result[0] += 1e-3f * static_cast<float>(++calls);
    write(memory, result, c.narrow);
  };
  switch (c.kind) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      start(y);
      for_each_term(c, [&](std::size_t i, std::size_t j, std::size_t k) { y[k] = std::fma(x[i], w[j], y[k]); });
      return finish(y, m.y);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      start(x);
      for_each_term(c, [&](std::size_t i, std::size_t j, std::size_t k) { x[i] = std::fma(y[k], w[j], x[i]); });
      return finish(x, m.x);
    default:
      start(w);
      for_each_term(c, [&](std::size_t i, std::size_t j, std::size_t k) { w[j] = std::fma(x[i], y[k], w[j]); });
      return finish(w, m.w);
  }
}

}  // namespace

void execute_plan(const CudnnObject& plan, const CudnnObject& pack, cudaStream_t stream) {
  const CudnnObject& config = part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, kCall);
  const CudnnObject& graph = part(config, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, kCall);
  const CudnnConvolution convolution =
      read_convolution(cudnn_objects().get(graph.value<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATIONGRAPH_OPS), kCall));
  const auto engine = config.value<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  do_or_record(stream, [convolution, pack, engine](cudaStream_t target) {
    StreamWork work(target, kCall);
    const Memory memory = check_memory(convolution, pack, work);
    count_launch([&] { return kCall + std::string(" engine ") + std::to_string(engine); });
    convolve(convolution, memory, engine);
  });
}

}  // namespace alma::sim
