#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/bench.h"

namespace alma::bench {

/// The arrays of one call of a primitive, f32 unless a type is given. Their bytes together are the least that the call must
/// move. Without a context the arrays have no memory; only their bytes are added up.
class Arrays {
 public:
  explicit Arrays(Context* context) : context_(context) {}

  In in(const Shape& shape) { return input(shape, 1); }
  /// Images in the layout that the device prefers.
  In in_images(const Shape& shape, DType dtype = DType::f32) { return add(shape, dtype, 1, 1, images_layout()); }
  Out out_images(const Shape& shape, DType dtype = DType::f32) { return add(shape, dtype, 0, 1, images_layout()); }
  /// An array of which only a part is read.
  In in_part(const Shape& shape, double part) { return input(shape, part); }
  In in_bf16(const Shape& shape) { return add(shape, DType::bf16, 1, 1); }
  In normal(const Shape& shape);  // standard normal numbers
  In indices(const Shape& shape, std::int64_t limit) { return indices_part(shape, limit, shape.count()); }
  /// i32, uniform in [0, limit), of which `read` are read.
  In indices_part(const Shape& shape, std::int64_t limit, std::int64_t read);
  In numbers(const Shape& shape, const std::vector<std::int32_t>& values);
  /// Distinct, scattered rows of a table of at least 2 n rows.
  static std::vector<std::int32_t> every(std::int64_t n);
  In pixels(const Shape& shape, std::int64_t read);  // u8, of whose images `read` are read
  Out out(const Shape& shape, DType dtype = DType::f32) { return add(shape, dtype, 0, 1); }
  /// An array that is read and written.
  Out update(const Shape& shape) { return updated(shape, 2 * shape.count()); }
  /// An array of which some elements are read and some written, `accesses` in total.
  Out updated(const Shape& shape, std::int64_t accesses);
  /// The state of step 0 with rate 0.1.
  const StepState* state();
  /// The number of operations, if it is more than a few per element, as for a product.
  void operations(std::int64_t multiply_adds) { flops_ += 2 * static_cast<double>(multiply_adds); }

  double bytes() const { return bytes_; }
  double flops() const { return flops_; }
  bool in_place() const { return in_place_; }

 private:
  In input(const Shape& shape, double part) { return add(shape, DType::f32, 1, part); }
  Layout images_layout() const { return context_ == nullptr ? Layout::row_major : context_->backend().image_layout(); }
  Out add(const Shape& shape, DType dtype, double value, double part, Layout layout = Layout::row_major);
  Out keep(const Tensor& tensor) { return tensors_.emplace_back(tensor).out(); }

  Context* context_;
  std::vector<Tensor> tensors_;
  double bytes_ = 0, flops_ = 0;
  bool in_place_ = false;
};

/// One call of a primitive on the arrays made for it.
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

// The parts of register_kernels().
void register_element_kernels(Suite& suite);
void register_row_kernels(Suite& suite);
void register_layer_kernels(Suite& suite);
void register_routing_kernels(Suite& suite);
void register_data_kernels(Suite& suite);
void register_product_kernels(Suite& suite);

}  // namespace alma::bench
