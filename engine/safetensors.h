#pragma once
#include <filesystem>
#include <vector>

#include "engine/tensor.h"

namespace alma {

/// Writes tensors as a safetensors file (8-byte little-endian header length, JSON header, data; as Hugging Face defines it),
/// so that other tools read our weights, as a whole (FileReplacement) and onto the disk. Names must be distinct. Throws
/// Error (failed) if it cannot be written, for instance when the disk is full; an old file stays unchanged then.
void save_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors);

/// Reads such a file, in the order of the data. Throws Error (data) that names the fault: a file that is too short, a header
/// that is not JSON, offsets that overlap, leave gaps or do not fit shape and dtype, a dtype that the engine does not have.
std::vector<NamedTensor> load_safetensors(const std::filesystem::path& path, Context& context);

}  // namespace alma
