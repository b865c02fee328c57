#include "engine/safetensors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

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

// A new file that is removed again unless it was finished.
class NewFile {
 public:
  explicit NewFile(const std::filesystem::path& path)
      : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
    if (file_ < 0) fail("cannot write ", path_, ": ", std::strerror(errno));
  }
  ~NewFile() {
    if (file_ < 0) return;
    ::close(file_);
    ::unlink(path_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(const void* data, std::size_t bytes) {
    const char* next = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t done = ::write(file_, next, bytes);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) fail("cannot write ", path_, ": ", std::strerror(errno), "; make room, then go on with --resume");
      next += done;
      bytes -= static_cast<std::size_t>(done);
    }
  }
  void finish() {
    if (::fsync(file_) != 0)
      fail("cannot write ", path_, ": ", std::strerror(errno), "; make room, then go on with --resume");
    ::close(file_);
    file_ = -1;
  }

 private:
  std::filesystem::path path_;
  int file_;
};

[[noreturn]] void damaged(const std::filesystem::path& path, const std::string& what) {
  fail(ErrorKind::data, "damaged tensor file ", path, ": ", what, "; restore it or use an earlier checkpoint");
}

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  std::uint64_t begin, end;
};

Entry parse_entry(const std::filesystem::path& path, const std::string& name, const nlohmann::json& json) {
  try {
    Entry entry{name, DType::f32, {}, json.at("data_offsets").at(0), json.at("data_offsets").at(1)};
    const std::string type = json.at("dtype");
    bool known = false;
    for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::u8}) {
      if (type != format_name(dtype)) continue;
      entry.dtype = dtype;
      known = true;
    }
    if (!known) damaged(path, "tensor '" + name + "' has dtype " + type + ", expected F32, F64, BF16, I32 or U8");
    if (json.at("shape").size() > Shape::max_rank) damaged(path, "tensor '" + name + "' has more than 5 dimensions");
    std::uint64_t bytes = size_of(entry.dtype);
    for (const auto& json_size : json.at("shape")) {
      const auto size = json_size.get<std::uint64_t>();
      if (size != 0 && bytes > (std::uint64_t{1} << 62) / size) damaged(path, "tensor '" + name + "' has an absurd shape");
      bytes *= size;
      entry.shape.push_back(static_cast<std::int64_t>(size));
    }
    if (entry.end < entry.begin || entry.end - entry.begin != bytes)
      damaged(path, "tensor '" + name + "' needs " + std::to_string(bytes) + " bytes, its offsets are " +
                        std::to_string(entry.begin) + " .. " + std::to_string(entry.end));
    return entry;
  } catch (const nlohmann::json::exception& error) {
    damaged(path, "header entry '" + name + "': " + error.what());
  }
}

std::vector<Entry> parse_header(const std::filesystem::path& path, const std::string& text, std::uint64_t data_bytes) {
  const nlohmann::json header = nlohmann::json::parse(text, nullptr, false);
  if (!header.is_object()) damaged(path, "the header is not a JSON object");
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items())
    if (name != "__metadata__") entries.push_back(parse_entry(path, name, json));
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
  NewFile file(path);
  file.write(&length, sizeof length);
  file.write(text.data(), text.size());
  std::vector<char> buffer;
  for (const auto& [name, tensor] : tensors) {
    buffer.resize(tensor.bytes());
    if (buffer.empty()) continue;
    tensor.backend().download(tensor.in().data, buffer.data(), buffer.size());
    file.write(buffer.data(), buffer.size());
  }
  file.finish();
}

std::vector<NamedTensor> load_safetensors(const std::filesystem::path& path, Context& context) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail(ErrorKind::data, "cannot read ", path, ": ", std::strerror(errno));
  const auto size = static_cast<std::uint64_t>(file.tellg());
  file.seekg(0);
  std::uint64_t length = 0;
  if (size < sizeof length || !file.read(reinterpret_cast<char*>(&length), sizeof length))
    damaged(path, "it has " + std::to_string(size) + " bytes, a header needs at least 8");
  if (length > kMaxHeader || length > size - sizeof length)
    damaged(path, "the header claims " + std::to_string(length) + " bytes, the file has " + std::to_string(size));
  std::string text(length, '\0');
  file.read(text.data(), static_cast<std::streamsize>(length));
  std::vector<NamedTensor> tensors;
  std::vector<char> buffer;
  for (const Entry& entry : parse_header(path, text, size - sizeof length - length)) {
    buffer.resize(entry.end - entry.begin);
    if (!file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()))) damaged(path, "it ends early");
    Tensor tensor = Tensor::empty(context, entry.shape, entry.dtype);
    if (!buffer.empty()) context.backend().upload(buffer.data(), tensor.out().data, buffer.size());
    tensors.emplace_back(entry.name, std::move(tensor));
  }
  return tensors;
}

}  // namespace alma
