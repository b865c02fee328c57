#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "alma/report/run_records.h"

namespace alma {

/// A run as an event file of TensorBoard. Each mega-batch has the scalars error and CER (so far), or ppl and bits_per_byte,
/// and, where they are known, loss, parameters, train_macs, epochs and val_accuracy, at step t and at its time. TensorBoard
/// stores values in single precision.
std::string tensorboard_events(const RunRecord& run);

/// Writes FOLDER/NAME/events.out.tfevents.alma for each run, where NAME is that of the run's folder; a second one of the
/// same name gets -2, -3, ...
void write_tensorboard(std::span<const RunRecord> runs, const std::filesystem::path& folder);

/// The checksum CRC-32C (RFC 3720, Castagnoli), which protects the records of event files.
std::uint32_t crc32c(std::string_view bytes);

}  // namespace alma
