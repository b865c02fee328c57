// Tensor files: what was read is written, and read again, to the same.
#include "engine/safetensors.h"

#include "base/files.h"
#include "tests/fuzz/context.h"
#include "tests/fuzz/target.h"

namespace alma::fuzz {
namespace {

std::string saved(const std::vector<NamedTensor>& tensors) {
  const std::string path = write_file("saved", "");
  save_safetensors(path, tensors);
  return read_text(path).value();
}

void read(std::string_view input) {
  const auto tensors = load_safetensors(write_file("tensors", input), context());
  const std::string file = saved(tensors);
  const auto again = load_safetensors(write_file("again", file), context());
  require(again.size() == tensors.size(), "another number of tensors");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    require(again[i].first == tensors[i].first, "another name");
    require(again[i].second.shape() == tensors[i].second.shape(), "another shape");
    require(again[i].second.dtype() == tensors[i].second.dtype(), "another dtype");
  }
  require(saved(again) == file, "other bytes");
}

std::string file_of(std::string header, const std::string& data) {
  std::string text(8, '\0');
  text[0] = static_cast<char>(header.size());
  return text + header + data;
}

std::vector<std::string> seeds() {
  const Tensor matrix = Tensor::from(context(), {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const Tensor bytes = Tensor::from(context(), {3}, std::vector<std::uint8_t>{7, 8, 9});
  const Tensor counts = Tensor::from(context(), {1, 1, 1, 1, 2}, std::vector<std::int32_t>{-1, 1});
  const Tensor scalar = Tensor::full(context(), {}, DType::f64, 0.5), none = Tensor::empty(context(), {0, 4}, DType::bf16);
  return {
      saved({{"layer.weight", matrix}, {"layer.\"bias\"", bytes}, {"counts", counts}, {"scalar", scalar}, {"none", none}}),
      saved({}),
      file_of(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"),
      file_of(R"({"a":{"dtype":"U8","shape":[0,4611686018427387904],"data_offsets":[0,0]}})", ""),
      file_of(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", "1234"),
      file_of(R"({"a":{"dtype":"F32","shape":[1e99,-1,1.5],"data_offsets":[0,4]}})", "1234")};
}

const Registered target{{"safetensors", ErrorKind::data, read, seeds}};

}  // namespace
}  // namespace alma::fuzz
