#pragma once
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/context.h"
#include "kernels/views.h"

namespace alma {

/// Device memory that tensors share.
class Storage {
 public:
  Storage(Context& context, std::size_t bytes)
      : context_(context), bytes_(bytes), data_(bytes == 0 ? nullptr : context.allocator().allocate(bytes)) {}
  ~Storage() {
    if (data_ != nullptr) context_.allocator().release(data_, bytes_);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Context& context() const { return context_; }
  void* data() const { return data_; }

 private:
  Context& context_;
  std::size_t bytes_;
  void* data_;
};

class Node;
class Deferred;

/// A dense array on a device, and its place on the tape. Copies share the array; a default-constructed tensor is undefined.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised.
  static Tensor empty(Context& context, const Shape& shape, DType dtype, Layout layout = Layout::row_major);
  static Tensor full(Context& context, const Shape& shape, DType dtype, double value);
  static Tensor zeros(Context& context, const Shape& shape, DType dtype) { return full(context, shape, dtype, 0); }
  /// A tensor with values from host memory; values.size() must be shape.count().
  template <class T>
  static Tensor from(Context& context, const Shape& shape, std::span<const T> values) {
    Tensor tensor = empty(context, shape, dtype_of<T>());
    tensor.upload(values.data(), values.size(), dtype_of<T>());
    return tensor;
  }
  template <class T>
  static Tensor from(Context& context, const Shape& shape, const std::vector<T>& values) {
    return from(context, shape, std::span<const T>(values));
  }

  bool defined() const { return impl_ != nullptr; }
  Context& context() const { return impl().storage->context(); }
  Backend& backend() const { return context().backend(); }
  const Shape& shape() const { return impl().shape; }
  std::int64_t dim(int i) const { return shape()[i]; }
  std::int64_t count() const { return shape().count(); }
  std::size_t bytes() const { return static_cast<std::size_t>(count()) * size_of(dtype()); }
  DType dtype() const { return impl().dtype; }
  Layout layout() const { return impl().layout; }
  /// The elements. Throws Error if they are deferred; dense() computes them.
  In in() const { return out(); }
  Out out() const {
    const Impl& x = impl();
    if (x.deferred) not_in_memory();
    char* data = static_cast<char*>(x.storage->data());
    return {data == nullptr ? nullptr : data + static_cast<std::size_t>(x.first) * size_of(x.dtype), x.dtype, x.shape,
            x.layout};
  }
  operator In() const { return in(); }

  /// A tensor whose elements are not in memory until `source` is asked for them.
  static Tensor deferred(std::shared_ptr<Deferred> source, const Shape& shape, DType dtype);
  bool is_deferred() const { return impl().deferred; }
  /// The source of deferred elements; null if they are in memory.
  Deferred* source() const;

  /// The same elements under another shape of equal count; shares memory, not on the tape (ops: reshape).
  Tensor view(const Shape& shape) const;
  /// Elements [first, first + shape.count()) of a row-major tensor; shares memory, not on the tape.
  Tensor part(std::int64_t first, const Shape& shape) const;
  /// The same memory, off the tape.
  Tensor detach() const;
  /// The whole storage, including halos and spare lanes, as one row: for element-wise work on tensors of one
  /// shape and layout.
  Out flat() const;
  /// A copy with memory of its own, off the tape.
  Tensor clone() const;
  /// A copy in `context`; by way of the host if it is another context.
  Tensor clone(Context& context) const;
  /// Overwrites the elements; shape and dtype must be the same.
  void copy_from(const Tensor& source) const;
  void fill(double value) const;

  // Host access; waits for the device.
  template <class T>
  std::vector<T> to_vector() const {
    std::vector<T> values(static_cast<std::size_t>(count()));
    download(values.data(), dtype_of<T>());
    return values;
  }
  /// The only element of a tensor of any dtype, as a double.
  double item() const;
  template <class T>
  void assign(std::span<const T> values) const {
    upload(values.data(), values.size(), dtype_of<T>());
  }

  // ---- autograd (autograd.cpp) --------------------------------------------------------------------------------------
  bool requires_grad() const { return impl_ && impl_->node; }
  /// Makes this a leaf that needs a gradient. f32 or f64.
  Tensor& set_requires_grad(bool wanted);
  /// Gradient of a leaf; undefined before backward().
  const Tensor& grad() const;
  void clear_grad() const;
  /// Gradients of this scalar for all leaves, added to what they hold; frees the graph as it goes.
  void backward() const;
  /// The same for the sum of all elements.
  void backward_of_sum() const;
  /// Gradients of sum(this * cotangent): a vector-Jacobian product.
  void backward(const Tensor& cotangent) const;
  /// Whether this is the cotangent 1 with which backward() and backward_of_sum() start; the usual loss then needs
  /// no extra pass.
  bool is_one() const { return impl().is_one; }

 private:
  friend class Grads;
  friend class Tape;
  struct Impl {
    std::shared_ptr<Storage> storage;
    std::shared_ptr<Node> node;  // of the op that made it, or of a leaf; null: no gradient needed
    std::int64_t first = 0;      // index of this tensor's first element
    Shape shape;
    DType dtype = DType::f32;
    Layout layout = Layout::row_major;
    bool is_one = false;
    bool deferred = false;  // the storage is a Deferred
  };
  const Impl& impl() const {
    if (!impl_) undefined();
    return *impl_;
  }
  [[noreturn]] static void undefined();
  [[noreturn]] void not_in_memory() const;
  void upload(const void* values, std::size_t count, DType dtype) const;
  void download(void* values, DType dtype) const;
  std::shared_ptr<Impl> impl_;
};

/// Elements that are computed when they are first needed, such as the floats of images that the device stores as bytes. An
/// op that knows the kind may use their source instead.
class Deferred : public Storage {
 public:
  explicit Deferred(Context& context) : Storage(context, 0) {}
  virtual ~Deferred() = default;
  /// The elements, row-major; computed once.
  virtual const Tensor& dense() = 0;
};

/// x with its elements in memory: x itself, or the elements from its source.
inline Tensor dense(const Tensor& x) { return x.is_deferred() ? x.source()->dense() : x; }

/// A tensor and its name in a checkpoint.
using NamedTensor = std::pair<std::string, Tensor>;

}  // namespace alma
