#include "engine/safetensors.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

#include "base/files.h"
#include "base/json.h"

namespace alma {

namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

constexpr std::uint64_t kMaxHeader = 100'000'000;  // the format's own limit

const char* format_name(DType dtype) {
  switch (dtype) {
    case DType::f32: return "F32";
    case DType::f64: return "F64";
    case DType::bf16: return "BF16";
    case DType::i32: return "I32";
    case DType::u8: return "U8";
  }
  return "?";
}

[[noreturn]] void damaged(const std::filesystem::path& path, const std::string& what) {
  fail(ErrorKind::data, "damaged tensor file ", path.string(), ": ", what, "; restore it or use an earlier checkpoint");
}

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  std::uint64_t begin, end;
};

std::uint64_t to_size(const nlohmann::json& value, const char* name) {
  return static_cast<std::uint64_t>(to_integer(value, name, 0));
}

Entry parse_entry(const std::filesystem::path& path, const std::string& name, const nlohmann::json& json) {
  const std::string tensor = "tensor '" + name + "'";
  const nlohmann::json& offsets = json_member(json, "data_offsets");
  const nlohmann::json& sizes = json_member(json, "shape");
  if (!offsets.is_array() || offsets.size() != 2) damaged(path, tensor + " has no pair of data_offsets");
  if (!sizes.is_array()) damaged(path, tensor + " has no list as its shape");
  Entry entry{name, DType::f32, {}, to_size(offsets[0], "data_offsets"), to_size(offsets[1], "data_offsets")};
  const std::string type = json_text(json, "dtype");
  bool known = false;
  for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::u8}) {
    if (type != format_name(dtype)) continue;
    entry.dtype = dtype;
    known = true;
  }
  if (!known) damaged(path, tensor + " has dtype " + type + ", expected F32, F64, BF16, I32 or U8");
  if (sizes.size() > Shape::max_rank) damaged(path, tensor + " has more than 5 dimensions");
  std::uint64_t bytes = size_of(entry.dtype);
  for (const auto& json_size : sizes) {
    const std::uint64_t size = to_size(json_size, "shape");
    if (size != 0 && bytes > (std::uint64_t{1} << 62) / size) damaged(path, tensor + " has an absurd shape");
    bytes *= size;
    entry.shape.push_back(static_cast<std::int64_t>(size));
  }
  if (entry.end < entry.begin || entry.end - entry.begin != bytes)
    damaged(path, tensor + " needs " + std::to_string(bytes) + " bytes, its offsets are " + std::to_string(entry.begin) +
                      " .. " + std::to_string(entry.end));
  return entry;
}

nlohmann::json parse_header_text(const std::filesystem::path& path, const std::string& text) {
  try {
    return parse_json(text);
  } catch (const JsonError& error) {
    damaged(path, std::string("the header is ") + error.what());
  }
}

std::vector<Entry> parse_header(const std::filesystem::path& path, const std::string& text, std::uint64_t data_bytes) {
  const nlohmann::json header = parse_header_text(path, text);
  if (!header.is_object()) damaged(path, "the header is not a JSON object");
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") continue;
    try {
      entries.push_back(parse_entry(path, name, json));
    } catch (const JsonError& error) {
      damaged(path, "header entry '" + name + "': " + error.what());
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t next = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != next)
      damaged(path, "tensor '" + entry.name + "' starts at byte " + std::to_string(entry.begin) + " of the data, expected " +
                        std::to_string(next));
    next = entry.end;
  }
  if (next != data_bytes)
    damaged(path, "the tensors take " + std::to_string(next) + " bytes, the file holds " + std::to_string(data_bytes));
  return entries;
}

}  // namespace

void save_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors) {
  // A list of pairs, in the order of the data: looking up each name would take minutes for the tensors of 1,000 models.
  nlohmann::ordered_json::object_t header;
  std::unordered_set<std::string_view> names;
  std::uint64_t next = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!names.insert(name).second) fail("[save_safetensors] two tensors are called '", name, "'");
    nlohmann::json shape = nlohmann::json::array();
    for (int i = 0; i < tensor.shape().rank(); ++i) shape.push_back(tensor.dim(i));
    header.emplace_back(name, nlohmann::ordered_json{{"dtype", format_name(tensor.dtype())},
                                                     {"shape", shape},
                                                     {"data_offsets", {next, next + tensor.bytes()}}});
    next += tensor.bytes();
  }
  std::string text = nlohmann::ordered_json(std::move(header)).dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // the data starts at a multiple of 8
  const std::uint64_t length = text.size();
  FileReplacement file(path);
  file.write({reinterpret_cast<const char*>(&length), sizeof length});
  file.write(text);
  std::vector<char> buffer;
  for (const auto& [name, tensor] : tensors) {
    buffer.resize(tensor.bytes());
    if (buffer.empty()) continue;
    tensor.backend().download(tensor.in().data, buffer.data(), buffer.size());
    file.write({buffer.data(), buffer.size()});
  }
  file.commit();
}

std::vector<NamedTensor> load_safetensors(const std::filesystem::path& path, Context& context) {
  std::optional<File> file = open_plain_file(path);
  if (!file) fail(ErrorKind::data, "cannot read ", path.string(), ": there is no such file");
  const std::uint64_t size = file->size();
  std::uint64_t length = 0;
  if (file->read(&length, sizeof length) < sizeof length)
    damaged(path, "it has " + std::to_string(size) + " bytes, a header needs at least 8");
  if (length > kMaxHeader || size < sizeof length || length > size - sizeof length)
    damaged(path, "the header claims " + std::to_string(length) + " bytes, the file has " + std::to_string(size));
  std::string text(length, '\0');
  if (file->read(text.data(), text.size()) < length) damaged(path, "it ends early");
  std::vector<NamedTensor> tensors;
  std::vector<char> buffer;
  for (const Entry& entry : parse_header(path, text, size - sizeof length - length)) {
    buffer.resize(entry.end - entry.begin);
    if (file->read(buffer.data(), buffer.size()) < buffer.size()) damaged(path, "it ends early");
    Tensor tensor = Tensor::empty(context, entry.shape, entry.dtype);
    if (!buffer.empty()) context.backend().upload(buffer.data(), tensor.out().data, buffer.size());
    tensors.emplace_back(entry.name, std::move(tensor));
  }
  return tensors;
}

}  // namespace alma
