#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace alma {

/// What a checkpoint holds.
struct Checkpoint {
  std::vector<NamedTensor> tensors;
  nlohmann::json state;             // as given to save()
  std::uint64_t metrics_bytes = 0;  // length of metrics.jsonl at that time
  std::int64_t generation = 0;      // 1 for a run's first checkpoint
  std::string note;                 // if not empty: the newest generation was damaged, how, and that the one before is used
};

/// The checkpoints of a run: the newest generation and the one before.
///   weights-<generation>.safetensors   all tensors
///   state.json                         names its tensor file with size and SHA-256, and has a checksum of itself; renamed
///   last state.previous.json                the same of the generation before
/// A process killed at any instant, or a full disk, leaves a whole generation behind.
class CheckpointStore {
 public:
  /// Makes the folder at the first save().
  explicit CheckpointStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// True if anything was ever saved here.
  bool exists() const;
  /// Tensor names must be distinct; `state` is an object whose doubles are finite. On return the checkpoint is on the disk.
  /// Throws Error (failed) if it cannot be written; the generations that were there stay as they were.
  void save(const std::vector<NamedTensor>& tensors, const nlohmann::json& state, std::uint64_t metrics_bytes);
  /// The newest generation that is whole. Throws Error(ErrorKind::data) naming the files and what was found if there is
  /// none.
  Checkpoint load(Context& context);

 private:
  struct State;
  State read_state(const std::filesystem::path& path) const;
  void keep_current();
  void remove_old_generations() const;

  std::filesystem::path folder_;
  std::optional<std::int64_t> intact_;  // the generation in state.json, once it is known to be whole
};

}  // namespace alma
