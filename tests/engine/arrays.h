#pragma once
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/context.h"
#include "engine/tensor.h"

namespace alma::test {

/// Arrays of one backend, filled from one stream of random numbers.
struct Arrays {
  explicit Arrays(const char* device, const ProfileTarget& profile = {})
      : context(device, 1, profile), random(3, "observed backend") {}

  Tensor input(const Shape& shape, double low = 0.1, double high = 1) {
    std::vector<float> values(static_cast<std::size_t>(shape.count()));
    for (float& value : values) value = static_cast<float>(random.uniform(low, high));
    return keep(Tensor::from(context, shape, values));
  }
  Tensor indices(std::int64_t count, int below) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    for (std::int32_t& value : values) value = static_cast<std::int32_t>(random.uniform(0, below));
    return keep(Tensor::from(context, {count}, values));
  }
  Out output(const Shape& shape, DType dtype = DType::f32) { return keep(Tensor::zeros(context, shape, dtype)).out(); }
  /// Everything that was written, byte by byte.
  std::string bits() {
    std::string all;
    for (const Tensor& tensor : tensors) {
      std::string bytes(tensor.bytes(), '\0');
      context.backend().download(tensor.in().data, bytes.data(), bytes.size());
      all += bytes;
    }
    return all;
  }

  Context context;
  RandomStream random;
  std::vector<Tensor> tensors;

 private:
  Tensor keep(Tensor tensor) { return tensors.emplace_back(std::move(tensor)); }
};

}  // namespace alma::test
