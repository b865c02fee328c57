#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "alma/report/run_records.h"

namespace alma {

/// A run as an event file of TensorBoard: of each mega-batch the scalars error and CER (so far), or ppl, and loss,
/// parameters, train_macs, epochs and val_accuracy, those that are known, at step t and at its time. TensorBoard holds
/// values in single precision.
std::string tensorboard_events(const RunRecord& run);

/// FOLDER/NAME of the run's folder/events.out.tfevents.alma of each run; a name that is taken gets -2, -3, ...
void write_tensorboard(std::span<const RunRecord> runs, const std::filesystem::path& folder);

/// The checksum of RFC 3720 (Castagnoli), with which the records of event files are guarded.
std::uint32_t crc32c(std::string_view bytes);

}  // namespace alma
