#include "alma/run/checkpoint.h"

#include <algorithm>

#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "engine/safetensors.h"

namespace alma {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr int kFormat = 1;
constexpr const char* kCurrent = "state.json";
constexpr const char* kPrevious = "state.previous.json";

std::string weights_name(std::int64_t generation) { return "weights-" + std::to_string(generation) + ".safetensors"; }

// The generation in a file name; nothing for other files.
std::optional<std::int64_t> generation_of(const std::string& name) {
  constexpr std::string_view prefix = "weights-";
  if (!name.starts_with(prefix)) return {};
  const std::string digits = name.substr(prefix.size(), name.find('.') - prefix.size());
  if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos) return {};
  const std::int64_t generation = std::stoll(digits);
  return name == weights_name(generation) ? std::optional(generation) : std::nullopt;
}

// The text of a state file. Its checksum is that of the same text without a checksum, and the text has only one spelling, so
// that every changed byte is detected.
std::string with_checksum(json body) {
  body.erase("sha256");
  body["sha256"] = sha256(body.dump(2));
  return body.dump(2) + "\n";
}

// The SHA-256 of a file. Also checks the size, which detects most damage.
std::string file_sha256(const fs::path& path, std::uint64_t expected_bytes) {
  std::optional<File> file = open_plain_file(path);
  if (!file) fail(ErrorKind::data, path.string(), " is missing");
  if (file->size() != expected_bytes)
    fail(ErrorKind::data, path.string(), " has ", file->size(), " bytes, expected ", expected_bytes);
  Sha256 sum;
  std::vector<std::uint8_t> piece(64 * 1024);
  while (const std::size_t got = file->read(piece.data(), piece.size())) sum.add({piece.data(), got});
  return sum.hex();
}

// The tensor file that is named by a state file.
struct NamedWeights {
  bool known = false;  // false: the file exists but cannot be read or parsed now
  std::string file;    // empty: there is no state file
};
NamedWeights named_weights(const fs::path& state) {
  try {
    const auto text = read_plain_file(state);
    return {true, text ? json_text(json_member(parse_json(*text), "weights"), "file") : ""};
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

struct CheckpointStore::State {
  json state;
  RunMark mark;
  std::int64_t generation = 0;
  fs::path weights;
};

bool CheckpointStore::exists() const { return fs::exists(folder_ / kCurrent) || fs::exists(folder_ / kPrevious); }

// Reads a state file and checks it and its tensor file. Throws Error (data) that names the damaged one and the damage.
CheckpointStore::State CheckpointStore::read_state(const fs::path& path) const try {
  const auto text = read_plain_file(path);
  if (!text) fail(ErrorKind::data, path.string(), " cannot be read: ", system_error_text(ENOENT));
  const json body = parse_json(*text);
  if (!body.is_object()) throw JsonError("not a JSON object");
  if (with_checksum(body) != *text) fail(ErrorKind::data, path.string(), " does not match the checksum in it");
  if (const std::int64_t format = json_integer(body, "format"); format != kFormat)
    fail(ErrorKind::data, path.string(), " has format ", format, ", this version reads ", kFormat);
  State state;
  state.state = json_member(body, "state");
  state.mark.metrics_bytes = static_cast<std::uint64_t>(json_integer(body, "metrics_bytes", 0));
  if (body.contains("metrics_sha256")) state.mark.metrics_sha256 = json_text(body, "metrics_sha256");
  if (body.contains("config")) state.mark.config = json_text(body, "config");
  state.generation = json_integer(body, "generation", 1);
  const json& weights = json_member(body, "weights");
  const std::string name = json_text(weights, "file");
  if (name != weights_name(state.generation))
    fail(ErrorKind::data, path.string(), " names ", name, ", which is not the tensor file of its generation, ",
         state.generation);
  state.weights = folder_ / name;
  const std::string sum = file_sha256(state.weights, static_cast<std::uint64_t>(json_integer(weights, "bytes", 0)));
  if (const std::string expected = json_text(weights, "sha256"); sum != expected)
    fail(ErrorKind::data, state.weights.string(), " has SHA-256 ", sum, ", expected ", expected);
  return state;
} catch (const JsonError& error) {
  fail(ErrorKind::data, path.string(), ": ", error.what());
}

// Makes the generation in state.json the previous one. If it is damaged, the present previous generation stays.
void CheckpointStore::keep_current() {
  if (!intact_ && fs::exists(folder_ / kCurrent)) {
    try {
      intact_ = read_state(folder_ / kCurrent).generation;
    } catch (const Error&) {
      return;
    }
  }
  if (!intact_) return;
  const auto text = read_plain_file(folder_ / kCurrent);
  if (!text) fail("cannot read ", (folder_ / kCurrent).string(), ": ", system_error_text(ENOENT));
  write_atomically(folder_ / kPrevious, *text);
}

void CheckpointStore::save(const std::vector<NamedTensor>& tensors, const json& state, const RunMark& mark) {
  std::error_code error;
  fs::create_directory(folder_, error);  // not the run directory above it: if that is missing, it was moved away
  if (error) fail("cannot create the folder ", folder_.string(), ": ", error.message());
  std::int64_t generation = 1;  // above all existing generations, including a file left by a killed save
  for (const auto& entry : fs::directory_iterator(folder_))
    if (const auto found = generation_of(entry.path().filename().string())) generation = std::max(generation, *found + 1);

  const fs::path weights = folder_ / weights_name(generation);
  save_safetensors(weights, tensors);
  try {
    const std::uint64_t bytes = fs::file_size(weights);
    const json body = {
        {"format", kFormat},
        {"generation", generation},
        {"metrics_bytes", mark.metrics_bytes},
        {"metrics_sha256", mark.metrics_sha256},
        {"config", mark.config},
        {"state", state},
        {"weights", {{"bytes", bytes}, {"file", weights.filename().string()}, {"sha256", file_sha256(weights, bytes)}}}};
    const std::string text = with_checksum(body);
    if (json::parse(text).at("state") != state)
      fail("[checkpoint] the state does not read back as it was; it holds a number that is not finite");
    keep_current();
    write_atomically(folder_ / kCurrent, text);
  } catch (...) {
    intact_.reset();
    std::error_code ignored;
    const NamedWeights named = named_weights(folder_ / kCurrent);
    if (named.known && named.file != weights.filename().string()) fs::remove(weights, ignored);
    throw;
  }
  intact_ = generation;
  remove_old_generations();
}

// Removes the files that neither state file names, and those of killed processes. A file that cannot be removed
// does no harm.
void CheckpointStore::remove_old_generations() const {
  const NamedWeights current = named_weights(folder_ / kCurrent), previous = named_weights(folder_ / kPrevious);
  if (!current.known || !previous.known) return;  // the files that they name must stay; the next save tries again
  std::error_code ignored;
  std::vector<fs::path> old;
  for (fs::directory_iterator entry(folder_, ignored), end; entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    const bool generation = generation_of(name) && name != current.file && name != previous.file;
    if (generation || is_temporary(name)) old.push_back(entry->path());
  }
  for (const fs::path& path : old) fs::remove(path, ignored);
}

Checkpoint CheckpointStore::newest(Context* context) {
  intact_.reset();
  std::string damage;
  for (const char* name : {kCurrent, kPrevious}) {
    try {
      State found = read_state(folder_ / name);
      Checkpoint checkpoint{{}, std::move(found.state), std::move(found.mark), found.generation, ""};
      if (context) checkpoint.tensors = load_safetensors(found.weights, *context);
      if (damage.empty()) {
        intact_ = found.generation;
      } else {
        checkpoint.note = "the newest checkpoint is damaged: " + damage + "; continuing from the previous one, " +
                          found.weights.filename().string();
      }
      return checkpoint;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      damage += (damage.empty() ? "" : "; ") + std::string(error.what());
    }
  }
  fail(ErrorKind::data, "no usable checkpoint in ", folder_.string(), ": ", damage,
       "; restore the files, or start again with another --out");
}

Checkpoint CheckpointStore::load(Context& context) { return newest(&context); }

Checkpoint CheckpointStore::verify() { return newest(nullptr); }

}  // namespace alma
