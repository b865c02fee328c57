#include "alma/config/build_info.h"

namespace alma {

std::string version() { return ALMA_VERSION; }
std::string compiler() { return ALMA_COMPILER; }
std::string cuda_toolkit() { return ALMA_CUDA_TOOLKIT; }

}  // namespace alma
