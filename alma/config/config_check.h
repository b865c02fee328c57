#pragma once
#include <string>

#include "alma/config/config_struct.h"

namespace alma {

/// Checks what concerns more than one key, by the rows of the kinds among others. Throws Error(ErrorKind::usage) that names
/// the keys and `where` they were read.
void check_together(const Config& config, const std::string& where);

/// Throws Error(ErrorKind::usage) for a configuration that can be read, such as that of a finished run, but neither
/// trained nor evaluated by this version, and for words that are not known: by Word::available of each key.
void check_trainable(const Config& config);

}  // namespace alma
