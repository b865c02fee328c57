#include "alma/run/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <span>

#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/safetensors.h"

namespace alma {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr int kFormat = 1;
constexpr const char* kCurrent = "state.json";
constexpr const char* kPrevious = "state.previous.json";

std::string weights_name(std::int64_t generation) { return "weights-" + std::to_string(generation) + ".safetensors"; }

// The generation in a file name, or nothing if it is another file.
std::optional<std::int64_t> generation_of(const std::string& name) {
  constexpr std::string_view prefix = "weights-";
  if (!name.starts_with(prefix)) return {};
  const std::string digits = name.substr(prefix.size(), name.find('.') - prefix.size());
  if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos) return {};
  const std::int64_t generation = std::stoll(digits);
  return name == weights_name(generation) ? std::optional(generation) : std::nullopt;
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// The text of a state file. Its checksum is that of the same text without a checksum, and it has one spelling only, so that
// any byte that differs shows.
std::string with_checksum(json body) {
  body.erase("sha256");
  body["sha256"] = sha256(bytes_of(body.dump(2)));
  return body.dump(2) + "\n";
}

// Also checks the size, since most damage shows there.
std::string file_sha256(const fs::path& path, std::uint64_t expected_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorKind::data, path.string(), " cannot be read: ", system_error_text(errno));
  Sha256 sum;
  std::uint64_t bytes = 0;
  std::vector<char> piece(1 << 20);
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())), file.gcount() > 0) {
    const auto got = static_cast<std::size_t>(file.gcount());
    sum.add({reinterpret_cast<const std::uint8_t*>(piece.data()), got});
    bytes += got;
  }
  if (bytes != expected_bytes) fail(ErrorKind::data, path.string(), " has ", bytes, " bytes, expected ", expected_bytes);
  return sum.hex();
}

// The tensor file that a state file names; nothing if that cannot be told.
std::optional<std::string> named_weights(const fs::path& state) {
  try {
    return json::parse(read_text(state).value_or("")).at("weights").at("file").get<std::string>();
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

struct CheckpointStore::State {
  json body;
  std::int64_t generation = 0;
  fs::path weights;
};

bool CheckpointStore::exists() const { return fs::exists(folder_ / kCurrent) || fs::exists(folder_ / kPrevious); }

// Reads a state file and checks it and its tensor file. Throws Error (data) saying which of the two is damaged, and how.
CheckpointStore::State CheckpointStore::read_state(const fs::path& path) const {
  const auto text = read_text(path);
  if (!text) fail(ErrorKind::data, path.string(), " cannot be read: ", system_error_text(errno));
  State state;
  state.body = json::parse(*text, nullptr, false);
  if (!state.body.is_object()) fail(ErrorKind::data, path.string(), " is not a JSON object");
  if (with_checksum(state.body) != *text) fail(ErrorKind::data, path.string(), " does not match the checksum in it");
  if (state.body.value("format", 0) != kFormat)
    fail(ErrorKind::data, path.string(), " is of format ", state.body.value("format", 0), ", this version reads ", kFormat);
  const json& weights = state.body.at("weights");
  state.generation = state.body.at("generation");
  state.weights = folder_ / weights.at("file").get<std::string>();
  const std::string sum = file_sha256(state.weights, weights.at("bytes")), expected = weights.at("sha256");
  if (sum != expected) fail(ErrorKind::data, state.weights.string(), " has SHA-256 ", sum, ", expected ", expected);
  return state;
}

// Makes the generation in state.json the previous one - unless it is damaged: then the one before stays.
void CheckpointStore::keep_current() {
  if (!intact_ && fs::exists(folder_ / kCurrent)) {
    try {
      intact_ = read_state(folder_ / kCurrent).generation;
    } catch (const Error&) {
      return;
    }
  }
  if (!intact_) return;
  const auto text = read_text(folder_ / kCurrent);
  if (!text) fail("cannot read ", (folder_ / kCurrent).string(), ": ", system_error_text(errno));
  write_atomically(folder_ / kPrevious, *text);
}

void CheckpointStore::save(const std::vector<NamedTensor>& tensors, const json& state, std::uint64_t metrics_bytes) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) fail("cannot make the folder ", folder_.string(), ": ", error.message());
  std::int64_t generation = 1;  // above everything there, a file left by a killed save included
  for (const auto& entry : fs::directory_iterator(folder_))
    if (const auto found = generation_of(entry.path().filename().string())) generation = std::max(generation, *found + 1);

  const fs::path weights = folder_ / weights_name(generation);
  save_safetensors(weights, tensors);
  try {
    const std::uint64_t bytes = fs::file_size(weights);
    const json body = {
        {"format", kFormat},
        {"generation", generation},
        {"metrics_bytes", metrics_bytes},
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
    if (named_weights(folder_ / kCurrent) != weights.filename().string()) fs::remove(weights, ignored);
    throw;
  }
  intact_ = generation;
  remove_old_generations();
}

// Everything that neither state file names. What cannot be removed does no harm.
void CheckpointStore::remove_old_generations() const {
  const auto current = named_weights(folder_ / kCurrent), previous = named_weights(folder_ / kPrevious);
  std::error_code ignored;
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (generation_of(name) && name != current && name != previous) old.push_back(entry.path());
  }
  for (const fs::path& path : old) fs::remove(path, ignored);
}

Checkpoint CheckpointStore::load(Context& context) {
  intact_.reset();
  std::string damage;
  for (const char* name : {kCurrent, kPrevious}) {
    try {
      State found = read_state(folder_ / name);
      Checkpoint checkpoint{load_safetensors(found.weights, context), std::move(found.body.at("state")),
                            found.body.at("metrics_bytes"), found.generation, ""};
      if (damage.empty()) {
        intact_ = found.generation;
      } else {
        checkpoint.note = "the newest checkpoint is damaged: " + damage + "; going on from the one before, " +
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

}  // namespace alma
