#pragma once
#include "engine/structure.h"

namespace alma {

/// All types of modules, of engine/ and of models/: what a checkpoint's models are made from. A program with modules of its
/// own adds them before it loads any.
ModuleTypes& module_types();

}  // namespace alma
