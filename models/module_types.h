#pragma once
#include "engine/structure.h"

namespace alma {

/// All types of modules of engine/ and models/, from which the models of a checkpoint are made. A program with modules of
/// its own adds them before it loads a checkpoint.
ModuleTypes& module_types();

}  // namespace alma
