// Every primitive of kernels/backend.h at the shapes of the workload, without the engine above: kernels/<primitive>/<shape>.
#include "bench/kernels_bench.h"

#include "base/random.h"

namespace alma::bench {

Out Arrays::add(const Shape& shape, DType dtype, double value, double part, Layout layout) {
  bytes_ += part * static_cast<double>(shape.count()) * static_cast<double>(size_of(dtype));
  if (context_ == nullptr) return {nullptr, dtype, shape};
  if (dtype != DType::bf16) {
    const Tensor tensor = Tensor::empty(*context_, shape, dtype, layout);
    context_->backend().fill(tensor.flat(), value);
    return keep(tensor);
  }
  return {keep(Tensor::zeros(*context_, {2 * shape.count()}, DType::u8)).data, dtype, shape};  // no device but cuda fills it
}

In Arrays::normal(const Shape& shape) {
  bytes_ += 4 * static_cast<double>(shape.count());
  if (context_ == nullptr) return In{nullptr, DType::f32, shape};
  RandomStream random(0, "bench normal");
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  for (float& value : values) value = static_cast<float>(random.normal());
  return keep(Tensor::from(*context_, shape, values));
}

In Arrays::indices_part(const Shape& shape, std::int64_t limit, std::int64_t read) {
  bytes_ += 4 * static_cast<double>(read);
  if (context_ == nullptr) return In{nullptr, DType::i32, shape};
  RandomStream random(0, "bench indices");
  std::vector<std::int32_t> values(static_cast<std::size_t>(shape.count()));
  for (std::int32_t& value : values) value = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(limit)));
  return keep(Tensor::from(*context_, shape, values));
}

In Arrays::numbers(const Shape& shape, const std::vector<std::int32_t>& values) {
  bytes_ += 4 * static_cast<double>(shape.count());
  return context_ == nullptr ? In{nullptr, DType::i32, shape} : keep(Tensor::from(*context_, shape, values));
}

std::vector<std::int32_t> Arrays::every(std::int64_t n) {
  std::vector<std::int32_t> rows;
  for (std::int64_t i = 0; i < n; ++i) rows.push_back(static_cast<std::int32_t>(2 * (i * 5 % n)));
  return rows;
}

In Arrays::pixels(const Shape& shape, std::int64_t read) {
  return add(shape, DType::u8, 1, static_cast<double>(read) / static_cast<double>(shape[0]));
}

Out Arrays::updated(const Shape& shape, std::int64_t accesses) {
  in_place_ = true;
  return add(shape, DType::f32, 1, static_cast<double>(accesses) / static_cast<double>(shape.count()));
}

const StepState* Arrays::state() {
  bytes_ += sizeof(StepState);
  if (context_ == nullptr) return nullptr;
  const StepState state{0, 0.1};
  const auto* first = reinterpret_cast<const std::uint8_t*>(&state);
  const std::vector<std::uint8_t> bytes(first, first + sizeof state);
  return static_cast<const StepState*>(keep(Tensor::from(*context_, {sizeof state}, bytes)).data);
}

void add_kernel(Suite& suite, const std::string& name, const std::function<Call(Arrays&)>& make) {
  Arrays sizes(nullptr);
  make(sizes);
  const std::string full_name = "kernels/" + name;
  if (suite.too_large(full_name, sizes.flops(), sizes.bytes())) return;
  const auto prepare = [&suite, make]() -> Work {
    const auto arrays = std::make_shared<Arrays>(&suite.context);
    return [&suite, arrays, call = make(*arrays)] { call(suite.context.backend()); };
  };
  const Cost cost{0, static_cast<Count>(sizes.flops()), static_cast<Count>(sizes.bytes())};
  add(suite, full_name, prepare, {cost, 0, sizes.in_place() ? Traffic::in_place : Traffic::copy});
}

std::string VggLayer::name() const {
  return "c" + std::to_string(channels) + "_" + std::to_string(size) + "x" + std::to_string(size);
}

std::vector<VggLayer> vgg_layers() {
  return {{4, 32}, {4, 8}, {4, 2}, {16, 16}, {16, 4}, {64, 32}, {64, 16}, {64, 8}, {64, 4}, {64, 2}};
}

void register_kernels(Suite& suite) {
  register_element_kernels(suite);
  register_row_kernels(suite);
  register_layer_kernels(suite);
  register_routing_kernels(suite);
  register_data_kernels(suite);
  register_product_kernels(suite);
}

}  // namespace alma::bench
