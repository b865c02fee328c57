// The CUDA runtime functions that kernels/cuda calls, under their own names (hidden in the library). Work on a stream is
// done at once; whether the program waits for it where it must is what stream_order.h keeps an eye on. Misuse throws Error;
// what can fail in a correct program returns a status.
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "kernels/sim/control.h"
#include "kernels/sim/graph.h"
#include "kernels/sim/handles.h"
#include "kernels/sim/memory.h"
#include "kernels/sim/stream.h"
#include "kernels/sim/stream_order.h"

namespace alma::sim {
namespace {

// Of the calling thread.
thread_local int current_device = 0;

struct Stream {
  ThreadPool* pool = nullptr;
  int device = 0;  // on which it was made
};
struct Event {
  int device = 0;
};

auto& streams() { return all_handles<cudaStream_t, Stream>(); }
auto& events() { return all_handles<cudaEvent_t, Event>(); }
char default_memory_pool = 0;

bool is_device(int device) { return device >= 0 && device < alma_sim_device().devices; }

void require_stream(cudaStream_t stream, const char* call) {
  if (stream != nullptr) streams().get(stream, call);
}

// `height` rows of `width` bytes; a plain copy is one row.
cudaError_t copy(void* target, std::size_t target_pitch, const void* source, std::size_t source_pitch, std::size_t width,
                 std::size_t height, cudaMemcpyKind kind, cudaStream_t stream, const char* call) {
  require_stream(stream, call);
  if (width == 0 || height == 0) return cudaSuccess;
  if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDeviceToHost && kind != cudaMemcpyDeviceToDevice)
    fail("[", call, "] only copies to, from and within the device are simulated, got kind ", static_cast<int>(kind));
  const bool within = kind == cudaMemcpyDeviceToDevice;  // what was never written stays so
  if (captures(stream)) {
    if (!within) return refuse_in_capture(stream);  // the real one would keep the host's address
    record(stream,
           [=](cudaStream_t on) { copy(target, target_pitch, source, source_pitch, width, height, kind, on, call); });
    return cudaSuccess;
  }
  StreamWork work(stream, call);
  if (kind == cudaMemcpyHostToDevice) {
    require_host(source, call, "the source");
  } else {
    work.touches(source, width, height, source_pitch, "the source", within ? Use::pass_on : Use::read);
  }
  if (kind == cudaMemcpyDeviceToHost) {
    require_host(target, call, "the target");
  } else {
    work.touches(target, width, height, target_pitch, "the target", within ? Use::take : Use::write);
  }
  for (std::size_t row = 0; row < height; ++row) {
    char* to = static_cast<char*>(target) + row * target_pitch;
    const char* from = static_cast<const char*>(source) + row * source_pitch;
    if (kind == cudaMemcpyDeviceToHost) {
      work.downloads(to, from, width);
      continue;
    }
    if (within && checks_on(alma_sim_memcheck)) copy_written(to, from, width);
    if (kind == cudaMemcpyHostToDevice) work.uploads(from, width);
    std::memcpy(to, from, width);
  }
  return cudaSuccess;
}

}  // namespace

void set_pool(cudaStream_t stream, ThreadPool* pool) { streams().get(stream, "set_pool").pool = pool; }

ThreadPool* pool_of(cudaStream_t stream) {
  if (stream == nullptr) return nullptr;
  const Stream& found = streams().get(stream, "launch");
  if (found.device != current_device)
    fail("[launch] the stream belongs to device ", found.device, ", the calling thread works with device ", current_device);
  return found.pool;
}

}  // namespace alma::sim

using namespace alma::sim;

extern "C" {

// Here, because memory and streams ask control.h which checks are on: it cannot ask them.
__attribute__((visibility("default"))) void alma_sim_set_checks(unsigned checks) {
  if ((checks & alma_sim_streams) == 0) host_waits_for_all();  // while the streams are still looked after
  if ((checks & alma_sim_memcheck) == 0) stop_memcheck();
  store_checks(checks);
}

// ---- device ---------------------------------------------------------------------------------------------------------
cudaError_t cudaDriverGetVersion(int* version) {
  *version = alma_sim_device().driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

// A driver serves every runtime of its major version.
cudaError_t cudaGetDeviceCount(int* count) {
  const AlmaSimDevice device = alma_sim_device();
  *count = 0;
  if (device.driver / 1000 < CUDART_VERSION / 1000) return cudaErrorInsufficientDriver;
  *count = device.devices;
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (!is_device(device)) return cudaErrorInvalidDevice;
  current_device = device;
  return cudaSuccess;
}

// Two multiprocessors, because every simulated thread costs time.
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (!is_device(device)) return cudaErrorInvalidDevice;
  const AlmaSimDevice pretended = alma_sim_device();
  *properties = {};
  std::strcpy(properties->name, "simulated GPU");
  properties->major = pretended.major;
  properties->minor = pretended.minor;
  properties->multiProcessorCount = 2;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->sharedMemPerBlock = 48 * 1024;
  properties->totalGlobalMem = pretended.memory;
  return cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorIllegalState: return "the operation cannot be performed in the present state";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureWrongThread:
      return "attempt to terminate a thread-local capture sequence from another thread";
    default: return "an error that the simulator does not return";
  }
}

cudaError_t cudaGetLastError() { return cudaSuccess; }

// ---- streams and events ---------------------------------------------------------------------------------------------
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = streams().make({nullptr, current_device});
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (const cudaError_t refused = refuse_in_capture(stream); refused != cudaSuccess) return refused;
  streams().destroy(stream, "cudaStreamDestroy");
  forget(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  require_stream(stream, "cudaStreamSynchronize");
  if (const cudaError_t refused = refuse_in_capture(stream); refused != cudaSuccess) return refused;
  host_waits(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  require_stream(stream, "cudaStreamWaitEvent");
  if (const cudaError_t refused = refuse_in_capture(stream); refused != cudaSuccess) return refused;
  events().get(event, "cudaStreamWaitEvent");
  stream_waits(stream, event);
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = events().make({current_device});
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  events().destroy(event, "cudaEventDestroy");
  forget(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  require_stream(stream, "cudaEventRecord");
  if (const cudaError_t refused = refuse_in_capture(stream); refused != cudaSuccess) return refused;
  const int device = stream == nullptr ? current_device : streams().get(stream, "cudaEventRecord").device;
  if (events().get(event, "cudaEventRecord").device != device) return cudaErrorInvalidResourceHandle;
  event_recorded(event, stream);
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t refused = refuse_in_captures_of_this_thread(); refused != cudaSuccess) return refused;
  events().get(event, "cudaEventSynchronize");
  host_waits(event);
  return cudaSuccess;
}

// ---- memory ---------------------------------------------------------------------------------------------------------
cudaError_t cudaMemGetInfo(std::size_t* left, std::size_t* all) {
  *all = alma_sim_device().memory;
  *left = device_memory_left();
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (const cudaError_t refused = refuse_in_captures_of_this_thread(); refused != cudaSuccess) return refused;
  if (bytes == 0) {
    *memory = nullptr;
    return cudaSuccess;
  }
  void* block = allocate_device(bytes);
  if (block == nullptr) return cudaErrorMemoryAllocation;
  *memory = block;
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  if (const cudaError_t refused = refuse_in_captures_of_this_thread(); refused != cudaSuccess) return refused;
  host_waits_for_all();
  free_device(memory, "cudaFree");
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t stream) {
  require_stream(stream, "cudaMallocAsync");
  if (const cudaError_t refused = refuse_in_capture(stream); refused != cudaSuccess) return refused;
  const cudaError_t status = cudaMalloc(memory, bytes);
  if (status == cudaSuccess && bytes > 0)  // not there for other streams until they have waited
    StreamWork(stream, "cudaMallocAsync").touches(*memory, bytes, 1, bytes, "the new memory", Use::take);
  return status;
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  require_stream(stream, "cudaFreeAsync");
  if (memory == nullptr) return cudaSuccess;
  if (const cudaError_t refused = refuse_in_capture(stream); refused != cudaSuccess) return refused;
  StreamWork(stream, "cudaFreeAsync").touches(memory, 1, 1, 1, "the memory", Use::take);
  free_device(memory, "cudaFreeAsync");
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  if (!is_device(device)) return cudaErrorInvalidDevice;
  *pool = reinterpret_cast<cudaMemPool_t>(&default_memory_pool);
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr, void*) {
  return pool == reinterpret_cast<cudaMemPool_t>(&default_memory_pool) ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  if (const cudaError_t refused = refuse_in_captures_of_this_thread(); refused != cudaSuccess) return refused;
  *memory = std::malloc(bytes);
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  pinned_allocated(*memory, bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  if (const cudaError_t refused = refuse_in_captures_of_this_thread(); refused != cudaSuccess) return refused;
  pinned_freed(memory);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy(target, bytes, source, bytes, bytes, 1, kind, stream, "cudaMemcpyAsync");
}

cudaError_t cudaMemcpy2DAsync(void* target, std::size_t target_pitch, const void* source, std::size_t source_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  const char* call = "cudaMemcpy2DAsync";
  if (width > target_pitch || width > source_pitch)
    alma::fail("[", call, "] width ", width, " is larger than a pitch: target ", target_pitch, ", source ", source_pitch);
  return copy(target, target_pitch, source, source_pitch, width, height, kind, stream, call);
}

cudaError_t cudaMemsetAsync(void* target, int value, std::size_t bytes, cudaStream_t stream) {
  require_stream(stream, "cudaMemsetAsync");
  if (bytes == 0) return cudaSuccess;
  do_or_record(stream, [=](cudaStream_t target_stream) {
    StreamWork(target_stream, "cudaMemsetAsync").touches(target, bytes, 1, bytes, "the target", Use::write);
    std::memset(target, value, bytes);
  });
  return cudaSuccess;
}
}
