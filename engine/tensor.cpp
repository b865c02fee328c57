#include "engine/tensor.h"

namespace alma {

Tensor Tensor::empty(Context& context, const Shape& shape, DType dtype, Layout layout) {
  Tensor tensor;
  tensor.impl_ = std::make_shared<Impl>();
  tensor.impl_->storage =
      std::make_shared<Storage>(context, static_cast<std::size_t>(stored_count(shape, layout)) * size_of(dtype));
  tensor.impl_->shape = shape;
  tensor.impl_->dtype = dtype;
  tensor.impl_->layout = layout;
  return tensor;
}

Tensor Tensor::full(Context& context, const Shape& shape, DType dtype, double value) {
  Tensor tensor = empty(context, shape, dtype);
  tensor.fill(value);
  return tensor;
}

void Tensor::undefined() { fail("[tensor] undefined tensor used"); }

void Tensor::not_in_memory() const { fail("[tensor] the elements of this ", shape(), " are deferred; dense() makes them"); }

Tensor Tensor::deferred(std::shared_ptr<Deferred> source, const Shape& shape, DType dtype) {
  Tensor tensor;
  tensor.impl_ = std::make_shared<Impl>();
  tensor.impl_->storage = std::move(source);
  tensor.impl_->shape = shape;
  tensor.impl_->dtype = dtype;
  tensor.impl_->deferred = true;
  return tensor;
}

Deferred* Tensor::source() const { return is_deferred() ? static_cast<Deferred*>(impl_->storage.get()) : nullptr; }

Tensor Tensor::view(const Shape& shape) const {
  if (shape.count() != count()) fail("[view] ", this->shape(), " has ", count(), " elements, asked for ", shape);
  return part(0, shape);
}

Tensor Tensor::part(std::int64_t first, const Shape& shape) const {
  if (layout() != Layout::row_major) fail("[part] needs a row-major tensor");
  if (is_deferred()) not_in_memory();
  if (first < 0 || first + shape.count() > count())
    fail("[part] elements ", first, " .. ", first + shape.count(), " of a tensor ", this->shape());
  Tensor tensor = detach();
  tensor.impl_->first = impl_->first + first;
  tensor.impl_->shape = shape;
  return tensor;
}

Tensor Tensor::detach() const {
  Tensor tensor;
  tensor.impl_ = std::make_shared<Impl>();
  tensor.impl_->storage = impl_->storage;
  tensor.impl_->first = impl_->first;
  tensor.impl_->shape = impl_->shape;
  tensor.impl_->dtype = impl_->dtype;
  tensor.impl_->layout = impl_->layout;
  tensor.impl_->deferred = impl_->deferred;
  return tensor;
}

Out Tensor::flat() const {
  const Out all = out();
  return {all.data, all.dtype, {stored_count(all.shape, all.layout)}};
}

Tensor Tensor::clone() const {
  Tensor tensor = empty(context(), shape(), dtype(), layout());
  tensor.copy_from(*this);
  return tensor;
}

Tensor Tensor::clone(Context& context) const {
  if (&context == &this->context()) return clone();
  if (layout() != Layout::row_major) fail("[clone] into another context: row-major tensors only");
  Tensor tensor = empty(context, shape(), dtype());
  std::vector<std::uint8_t> bytes(this->bytes());
  if (bytes.empty()) return tensor;
  backend().download(in().data, bytes.data(), bytes.size());
  tensor.backend().upload(bytes.data(), tensor.out().data, bytes.size());
  return tensor;
}

void Tensor::copy_from(const Tensor& source) const {
  if (source.shape() != shape() || source.dtype() != dtype() || source.layout() != layout())
    fail("[copy_from] ", source.dtype(), ' ', source.shape(), " does not fit ", dtype(), ' ', shape());
  const std::size_t size = static_cast<std::size_t>(stored_count(shape(), layout())) * size_of(dtype());
  if (size != 0) backend().copy(source.in().data, size, out().data, size, size, 1);
}

void Tensor::fill(double value) const { backend().fill(out(), value); }

void Tensor::upload(const void* values, std::size_t count, DType dtype) const {
  if (dtype != this->dtype() || count != static_cast<std::size_t>(this->count()))
    fail("[upload] ", count, " values of ", dtype, " for a tensor ", this->dtype(), ' ', shape());
  if (count != 0) backend().upload(values, out().data, bytes());
}

void Tensor::download(void* values, DType dtype) const {
  if (dtype != this->dtype() || layout() != Layout::row_major)
    fail("[download] asked for row-major ", dtype, ", the tensor is ", this->dtype());
  if (count() != 0) backend().download(in().data, values, bytes());
}

double Tensor::item() const {
  if (count() != 1) fail("[item] needs one element, the tensor is ", shape());
  switch (dtype()) {
    case DType::f32: return to_vector<float>()[0];
    case DType::f64: return to_vector<double>()[0];
    case DType::bf16: return static_cast<float>(to_vector<Bf16>()[0]);
    case DType::i32: return to_vector<std::int32_t>()[0];
    case DType::u8: return to_vector<std::uint8_t>()[0];
  }
  return 0;
}

}  // namespace alma
