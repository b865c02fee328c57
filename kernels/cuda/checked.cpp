#include "kernels/cuda/checked.h"

namespace alma {

const char* hint_for(cudaError_t status) {
  switch (status) {
    case cudaErrorMemoryAllocation:
      return "; use a smaller batch or model, or end what else uses the GPU (nvidia-smi lists it)";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return "; this build has no code for this GPU: configure with its -DALMA_CUDA_ARCHITECTURES";
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch: return "; update the NVIDIA driver";
    case cudaErrorDevicesUnavailable:
      return "; another process holds the GPU for itself alone (nvidia-smi shows compute mode and processes)";
    case cudaErrorECCUncorrectable:
    case cudaErrorHardwareStackError: return "; the GPU is faulty or needs a reset";
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorLaunchFailure:
    case cudaErrorAssert:
      return "; a kernel before this call has failed: CUDA_LAUNCH_BLOCKING=1 shows which, and --device cuda-sim with "
             "ALMA_SIM_CHECK=memcheck,racecheck says why";
    case cudaErrorLaunchOutOfResources: return "; the kernel needs more registers or shared memory than this GPU has";
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated: return "; run without train.graph";
    default: return "";
  }
}

}  // namespace alma
