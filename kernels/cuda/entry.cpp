#include "kernels/cuda/entry.h"

#include <nvtx3/nvToolsExt.h>

#include "kernels/cuda/checked.h"
#include "kernels/cuda/device.h"

namespace alma {

Entry::Entry(int gpu, const char* name) {
  ALMA_CHECKED(make_current(gpu));
  begin_nvtx_range(name);
}
Entry::~Entry() { end_nvtx_range(); }

void begin_nvtx_range(const char* name) { nvtxRangePushA(name); }
void end_nvtx_range() noexcept { nvtxRangePop(); }

}  // namespace alma
