#pragma once
#include <string>

#include "alma/config/config_struct.h"

namespace alma {

/// Checks the rules that concern more than one key, including those of the kinds. Throws Error(ErrorKind::usage) that names
/// the keys and `where` they were read.
void check_together(const Config& config, const std::string& where);

/// Throws Error(ErrorKind::usage) for a configuration that this version can read, such as that of a finished run, but
/// neither train nor evaluate (Word::available), and for unknown words.
void check_trainable(const Config& config);

}  // namespace alma
