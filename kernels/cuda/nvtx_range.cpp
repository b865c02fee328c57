#include "kernels/cuda/nvtx_range.h"

#include <nvtx3/nvToolsExt.h>

#include "kernels/cuda/cuda_backend.h"

namespace alma {

NvtxRange::NvtxRange(const char* name) { nvtxRangePushA(name); }
NvtxRange::~NvtxRange() { nvtxRangePop(); }

void CudaBackend::begin_range(const char* name) { nvtxRangePushA(name); }
void CudaBackend::end_range() noexcept { nvtxRangePop(); }

}  // namespace alma
