// Device, memory and copies of the cuda backend.
#include "kernels/cuda/cuda_backend.h"

#include <algorithm>

#include "kernels/checks/memory.h"
#include "kernels/cuda/checked.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/grid.h"

namespace alma {

void require_row_major(const char* op, const In& x) {
  if (x.layout != Layout::row_major) fail("[", op, "] cuda computes in row_major, got ", x.layout);
}

void require_f32(const char* op, const In& x) {
  require_row_major(op, x);
  if (x.dtype != DType::f32) fail("[", op, "] cuda computes in f32, got ", x.dtype);
}

CudaBackend::CudaBackend(std::string device, int gpu) : device_(std::move(device)), gpu_(gpu) {
  ALMA_CHECKED(make_current(gpu_));
  ALMA_CHECKED(cudaGetDeviceProperties(&properties_, gpu_));
  ALMA_CHECKED(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  // Freed memory stays with the pool; by default it would go back to the driver at every synchronisation.
  cudaMemPool_t pool = nullptr;
  ALMA_CHECKED(cudaDeviceGetDefaultMemPool(&pool, gpu_));
  std::uint64_t keep = ~std::uint64_t{0};
  ALMA_CHECKED(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
  staging_ = std::make_unique<Staging>(stream_);
  gemm_ = std::make_unique<Gemm>(stream_, properties_.major);
}

CudaBackend::~CudaBackend() {
  make_current(gpu_);
  cudaStreamSynchronize(stream_);
  conv_.reset();
  gemm_.reset();
  staging_.reset();
  scratch_.reset();
  cudaStreamDestroy(stream_);
}

BackendInfo CudaBackend::info() const {
  int driver = 0, runtime = 0;
  ALMA_CHECKED(cudaDriverGetVersion(&driver));
  ALMA_CHECKED(cudaRuntimeGetVersion(&runtime));
  const std::size_t blas = cublasLtGetVersion();
  const std::string versions = "CUDA " + cuda_version(runtime) + " (driver " + cuda_version(driver) + "), cuBLASLt " +
                               std::to_string(blas / 10000) + "." + std::to_string(blas / 100 % 100) + "." +
                               std::to_string(blas % 100) + cudnn_version();
  return {.device = device_,
          .level = "sm_" + std::to_string(10 * properties_.major + properties_.minor),
          .hardware = properties_.name,
          .versions = versions,
          .memory = properties_.totalGlobalMem,
          .why = {}};
}

void* CudaBackend::allocate(std::size_t bytes) {
  ALMA_CHECKED(make_current(gpu_));
  const Observed seen = check::allocate(*this, bytes);
  refuse_in_capture("allocate");
  void* memory = nullptr;
  const cudaError_t status = cudaMallocAsync(&memory, bytes, stream_);
  if (status == cudaErrorMemoryAllocation) {
    std::size_t left = 0, all = 0;
    ALMA_CHECKED(cudaMemGetInfo(&left, &all));
    fail("[allocate] no memory left on ", device_, " (", properties_.name, ", ", left >> 20, " of ", all >> 20,
         " MiB free) for ", bytes, " bytes", hint_for(status));
  }
  check_status(status, "cudaMallocAsync");
  return memory;
}

void CudaBackend::deallocate(void* memory) noexcept {
  const Observed seen = check::deallocate(*this);
  cudaFreeAsync(memory, stream_);
}

void CudaBackend::upload(const void* host, void* device, std::size_t bytes) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::upload(*this, bytes);
  refuse_in_capture("upload");
  staging_->upload(host, device, bytes);
}

void CudaBackend::download(const void* device, void* host, std::size_t bytes) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::download(*this, bytes);
  refuse_in_capture("download");
  if (bytes > 0) ALMA_CHECKED(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_));
  synchronize();
}

void CudaBackend::copy(const void* source, std::size_t source_pitch, void* target, std::size_t target_pitch,
                       std::size_t width, std::size_t rows) {
  const Entry entry(gpu_, __func__);
  const Observed seen = check::copy(*this, width, rows);
  if (width == 0 || rows == 0) return;
  if (rows > 1 && (source_pitch < width || target_pitch < width))
    fail("[copy] rows of ", width, " bytes overlap: source pitch ", source_pitch, ", target pitch ", target_pitch);
  if (rows == 1 || (source_pitch == width && target_pitch == width)) {
    ALMA_CHECKED(cudaMemcpyAsync(target, source, width * rows, cudaMemcpyDeviceToDevice, stream_));
  } else {
    ALMA_CHECKED(
        cudaMemcpy2DAsync(target, target_pitch, source, source_pitch, width, rows, cudaMemcpyDeviceToDevice, stream_));
  }
}

void CudaBackend::synchronize() {
  ALMA_CHECKED(make_current(gpu_));
  const Observed seen = check::synchronize(*this);
  refuse_in_capture("synchronize");
  ALMA_CHECKED(cudaStreamSynchronize(stream_));
}

void CudaBackend::begin_range(const char* name) { begin_nvtx_range(name); }

void CudaBackend::end_range() noexcept { end_nvtx_range(); }

float* CudaBackend::scratch(std::int64_t floats) {
  if (floats > scratch_floats_) {
    refuse_in_capture("allocate");  // before the old memory is let go
    const std::int64_t size = std::max<std::int64_t>(floats, 1 << 14);
    scratch_.reset();
    scratch_floats_ = 0;
    scratch_ = {allocate(static_cast<std::size_t>(size) * sizeof(float)),
                [stream = stream_](void* memory) { cudaFreeAsync(memory, stream); }};
    scratch_floats_ = size;
  }
  return static_cast<float*>(scratch_.get());
}

std::int64_t CudaBackend::grid_for(std::int64_t threads, int block) const {
  const std::int64_t resident = std::int64_t{properties_.multiProcessorCount} * properties_.maxThreadsPerMultiProcessor;
  return std::clamp<std::int64_t>(blocks_for(threads, block), 1, std::max<std::int64_t>(resident / block, 1));
}

}  // namespace alma
