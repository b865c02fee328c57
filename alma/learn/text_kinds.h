#pragma once
#include "alma/learn/kinds.h"

namespace alma {

// The rows for text, among those of built_in_data() and built_in_architectures().
DataKind text_data();
ArchitectureKind switch_transformer();

}  // namespace alma
