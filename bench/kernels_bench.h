#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/bench.h"

namespace alma::bench {

/// The arrays of one call of a primitive, f32 unless a type is given. Their bytes together are the least that the call must
/// move. Without a context they have no memory: only their bytes are added up.
class Arrays {
 public:
  explicit Arrays(Context* context) : context_(context) {}

  In in(const Shape& shape) { return input(shape, 1); }
  /// Of which only a part is read.
  In in_part(const Shape& shape, double part) { return input(shape, part); }
  In in_bf16(const Shape& shape) { return add(shape, DType::bf16, 1, 1); }
  In normal(const Shape& shape);  // standard normal numbers
  In indices(const Shape& shape, std::int64_t limit) { return indices_part(shape, limit, shape.count()); }
  /// i32, uniform in [0, limit), of which `read` are read.
  In indices_part(const Shape& shape, std::int64_t limit, std::int64_t read);
  In numbers(const Shape& shape, const std::vector<std::int32_t>& values);
  /// Different rows of a table of at least 2 n, here and there.
  static std::vector<std::int32_t> every(std::int64_t n);
  In pixels(const Shape& shape, std::int64_t read);  // u8, of whose images `read` are read
  In place(const Shape& shape) { return add(shape, DType::u8, 1, 1); }
  Out out(const Shape& shape, DType dtype = DType::f32) { return add(shape, dtype, 0, 1); }
  /// Read and written.
  Out update(const Shape& shape) { return updated(shape, 2 * shape.count()); }
  /// Of which some are read and some written: `accesses` elements altogether.
  Out updated(const Shape& shape, std::int64_t accesses);
  /// Step 0, rate 0.1.
  const StepState* state();
  /// Operations, where they are more than a few per element: a product's.
  void operations(std::int64_t multiply_adds) { flops_ += 2 * static_cast<double>(multiply_adds); }

  double bytes() const { return bytes_; }
  double flops() const { return flops_; }
  bool in_place() const { return in_place_; }

 private:
  In input(const Shape& shape, double part) { return add(shape, DType::f32, 1, part); }
  Out add(const Shape& shape, DType dtype, double value, double part);
  Out keep(const Tensor& tensor) { return tensors_.emplace_back(tensor).out(); }

  Context* context_;
  std::vector<Tensor> tensors_;
  double bytes_ = 0, flops_ = 0;
  bool in_place_ = false;
};

/// One call of a primitive on the arrays that it has made.
using Call = std::function<void(Backend&)>;

/// Registers kernels/`name`. `make` is called once to know the sizes, and again when the benchmark runs.
void add_kernel(Suite& suite, const std::string& name, const std::function<Call(Arrays&)>& make);

/// A layer of the VGG networks on a batch of 128 images.
struct VggLayer {
  std::int64_t channels, size;  // 32x32 to 2x2
  Shape shape() const { return {128, channels, size, size}; }
  Shape halved() const { return {128, channels, size / 2, size / 2}; }
  std::string name() const;
};
std::vector<VggLayer> vgg_layers();

// Parts of register_kernels().
void register_element_kernels(Suite& suite);
void register_row_kernels(Suite& suite);
void register_layer_kernels(Suite& suite);
void register_routing_kernels(Suite& suite);
void register_data_kernels(Suite& suite);
void register_product_kernels(Suite& suite);

}  // namespace alma::bench
