// Checkpoints: two state files and a tensor file. What was loaded is saved, and loaded again, to the same.
#include "alma/run/checkpoint.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/checksum.h"
#include "base/files.h"
#include "base/json.h"
#include "engine/safetensors.h"
#include "tests/fuzz/context.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

using nlohmann::json;

// The state file with sums that are right, as no mutation would make them; a text that is no state file stays as it is.
std::string repaired(std::string_view text, std::string_view weights) try {
  json body = parse_json(text);
  if (!body.is_object()) return std::string(text);
  if (const auto named = body.find("weights"); named != body.end() && named->is_object() && named->contains("sha256")) {
    (*named)["sha256"] = sha256(weights);
    (*named)["bytes"] = weights.size();
  }
  if (body.erase("sha256") == 0) return std::string(text);
  body["sha256"] = sha256(body.dump(2));
  return body.dump(2) + "\n";
} catch (const JsonError&) {
  return std::string(text);
}

void read(std::string_view input) {
  const auto [current, previous, weights] = parts_of<3>(input);
  const std::filesystem::path place = std::filesystem::path(folder()) / "checkpoint";
  std::filesystem::remove_all(place);
  write_file("checkpoint/state.json", repaired(current, weights));
  write_file("checkpoint/state.previous.json", repaired(previous, weights));
  write_file("checkpoint/weights-1.safetensors", weights);
  CheckpointStore store(place);
  const Checkpoint loaded = store.load(context());
  const RunMark& mark = loaded.mark;
  require(store.verify().state == loaded.state, "another state without the tensors");
  store.save(loaded.tensors, loaded.state, mark);
  const Checkpoint again = store.load(context());
  require(again.note.empty() && again.generation > loaded.generation, "an older generation");
  require(again.state == loaded.state && again.tensors.size() == loaded.tensors.size(), "another state");
  require(again.mark.metrics_bytes == mark.metrics_bytes && again.mark.metrics_sha256 == mark.metrics_sha256 &&
              again.mark.config == mark.config,
          "another mark");
}

std::vector<std::string> seeds() {
  const std::string path = write_file("tensors", "");
  save_safetensors(path, {{"weight", Tensor::full(context(), {2}, DType::f32, 0.5)}});
  const std::string weights = read_text(path).value();
  const json state = {{"format", 1},
                      {"generation", 1},
                      {"metrics_bytes", 0},
                      {"metrics_sha256", ""},
                      {"config", ""},
                      {"state", {{"a", 1.5}, {"b", {1, nullptr, true, "text"}}}},
                      {"weights", {{"bytes", 0}, {"file", "weights-1.safetensors"}, {"sha256", ""}}},
                      {"sha256", ""}};
  json before = state;  // as a version before wrote it
  before.erase("config"), before.erase("metrics_sha256");
  const std::string between(kBetween);
  return {state.dump() + between + before.dump() + between + weights, before.dump() + between + between + weights,
          "{" + between + state.dump() + between + weights};
}

const Registered target{{"checkpoint", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
