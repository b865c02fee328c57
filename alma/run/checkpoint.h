#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace alma {

/// The state of the run directory that a checkpoint relies on. Earlier versions have written no texts; they are empty then.
struct RunMark {
  std::uint64_t metrics_bytes = 0;  // length of metrics.jsonl when the checkpoint was saved
  std::string metrics_sha256;       // of these bytes
  std::string config;               // the text of config.toml
};

/// The content of a checkpoint.
struct Checkpoint {
  std::vector<NamedTensor> tensors;
  nlohmann::json state;  // the argument of save()
  RunMark mark;
  std::int64_t generation = 0;  // 1 for a run's first checkpoint
  std::string note;             // if not empty: how the newest generation is damaged, and that the previous one is used
};

/// The checkpoints of a run: the newest generation and the previous one.
///   weights-<generation>.safetensors   all tensors
///   state.json                         names its tensor file with size and SHA-256, and has a checksum of itself; it is
///                                      renamed last
///   state.previous.json                the same of the generation before
/// A process killed at any instant, or a full disk, leaves a whole generation behind. Nothing is removed that a state file
/// names, or may name while it cannot be read.
class CheckpointStore {
 public:
  /// Makes the folder at the first save().
  explicit CheckpointStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Whether anything was ever saved here.
  bool exists() const;
  /// Tensor names must be distinct; `state` is an object whose doubles are finite. On return the checkpoint is on the disk.
  /// Throws Error (failed) if it cannot be written; the existing generations stay unchanged.
  void save(const std::vector<NamedTensor>& tensors, const nlohmann::json& state, const RunMark& mark);
  /// The newest generation that is intact. Throws Error(ErrorKind::data) that names the files and what was found if there is
  /// none, and Error (failed) if a file exists but cannot be read now: the newest generation may still be intact then.
  Checkpoint load(Context& context);
  /// The same without the tensors; every byte is verified.
  Checkpoint verify();

 private:
  struct State;
  State read_state(const std::filesystem::path& path) const;
  Checkpoint newest(Context* context);
  void keep_current();
  void remove_old_generations() const;

  std::filesystem::path folder_;
  std::optional<std::int64_t> intact_;  // the generation in state.json, once it is known to be intact
};

}  // namespace alma
