#include "engine/ops_shape.h"

#include <algorithm>

#include "engine/ops_check.h"

namespace alma {

namespace {

// x seen as [outer, size, inner] around one axis.
struct Block {
  std::int64_t outer = 1, size = 1, inner = 1;
};

int checked_axis(const char* op, const Shape& shape, int axis) {
  const int i = axis < 0 ? axis + shape.rank() : axis;
  if (i < 0 || i >= shape.rank()) fail("[", op, "] axis ", axis, " of a tensor ", shape);
  return i;
}

Block block_around(const Shape& shape, int axis) {
  Block block;
  for (int i = 0; i < shape.rank(); ++i) (i < axis ? block.outer : i == axis ? block.size : block.inner) *= shape[i];
  return block;
}

Shape with_size(Shape shape, int axis, std::int64_t size) {
  shape[axis] = size;
  return shape;
}

// Copies indices [from, from + count) of source's axis to [to, to + count) of target's.
void copy_part(const Tensor& source, std::int64_t from, const Tensor& target, std::int64_t to, std::int64_t count,
               int axis) {
  const Block s = block_around(source.shape(), axis), t = block_around(target.shape(), axis);
  const std::size_t element = size_of(source.dtype());
  const std::size_t run = static_cast<std::size_t>(s.inner) * element;
  if (s.outer == 0 || count == 0 || run == 0) return;
  source.backend().copy(
      static_cast<const char*>(source.in().data) + static_cast<std::size_t>(from) * run,
      static_cast<std::size_t>(s.size) * run, static_cast<char*>(target.out().data) + static_cast<std::size_t>(to) * run,
      static_cast<std::size_t>(t.size) * run, static_cast<std::size_t>(count) * run, static_cast<std::size_t>(s.outer));
  source.context().add_cost({0, 0, 2 * static_cast<Count>(run) * static_cast<Count>(count) * static_cast<Count>(s.outer)});
}

Tensor swapped(const Tensor& x) {
  const std::int64_t a = x.dim(0), b = x.dim(1);
  Shape shape = x.shape();
  std::swap(shape[0], shape[1]);
  const Tensor y = Tensor::empty(x.context(), shape, x.dtype());
  if (x.count() == 0) return y;
  const std::size_t run = x.bytes() / static_cast<std::size_t>(a * b);
  const auto* from = static_cast<const char*>(x.in().data);
  auto* to = static_cast<char*>(y.out().data);
  // As few copies as there can be.
  const auto many = static_cast<std::size_t>(std::max(a, b));
  for (std::size_t i = 0; i < static_cast<std::size_t>(std::min(a, b)); ++i) {
    if (a < b)
      x.backend().copy(from + i * many * run, run, to + i * run, static_cast<std::size_t>(a) * run, run, many);
    else
      x.backend().copy(from + i * run, static_cast<std::size_t>(b) * run, to + i * many * run, run, run, many);
  }
  x.context().add_cost({0, 0, bytes_of(x, y)});
  return y;
}

}  // namespace

Tensor swap_first_two(const Tensor& x) {
  require_row_major("swap_first_two", x);
  if (x.shape().rank() < 2) fail("[swap_first_two] of a tensor ", x.shape());
  return record("swap_first_two", {x}, swapped(x), [](const Tensor& dy, Grads& grads) { grads.add(0, swapped(dy)); });
}

Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> sizes) {
  std::int64_t known = 1;
  int open = 0;
  for (std::int64_t size : sizes) size == -1 ? ++open : known *= size;
  if (open > 1) fail("[reshape] more than one size is -1");
  if (open == 1 && (known == 0 || x.count() % known != 0)) fail("[reshape] ", x.shape(), " does not divide by ", known);
  Shape shape;
  for (std::int64_t size : sizes) shape.push_back(size == -1 ? x.count() / known : size);
  return record("reshape", {x}, x.view(shape),
                [from = x.shape()](const Tensor& dy, Grads& grads) { grads.add(0, dy.view(from)); });
}

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  if (parts.empty()) fail("[concat] nothing to join");
  const int at = checked_axis("concat", parts[0].shape(), axis);
  std::vector<std::int64_t> sizes;
  std::int64_t total = 0;
  for (const Tensor& part : parts) {
    require_row_major("concat", part);
    require_dtype("concat", "every part", part, parts[0].dtype());
    require_rank("concat", "every part", part, parts[0].shape().rank());
    require_shape("concat", "every part", part, with_size(parts[0].shape(), at, part.dim(at)));
    sizes.push_back(part.dim(at));
    total += part.dim(at);
  }
  const Tensor y = Tensor::empty(parts[0].context(), with_size(parts[0].shape(), at, total), parts[0].dtype());
  std::int64_t to = 0;
  for (const Tensor& part : parts) {
    copy_part(part, 0, y, to, part.dim(at), at);
    to += part.dim(at);
  }
  return record("concat", parts, y, [sizes, at](const Tensor& dy, Grads& grads) {
    std::int64_t first = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (grads.wanted(i)) grads.add(i, slice(dy, at, first, first + sizes[i]));
      first += sizes[i];
    }
  });
}

Tensor slice(const Tensor& x, int axis, std::int64_t first, std::int64_t last) {
  require_row_major("slice", x);
  const int at = checked_axis("slice", x.shape(), axis);
  if (first < 0 || last < first || last > x.dim(at))
    fail("[slice] indices [", first, ", ", last, ") along axis ", axis, " of a tensor ", x.shape());
  const Tensor y = Tensor::empty(x.context(), with_size(x.shape(), at, last - first), x.dtype());
  copy_part(x, first, y, 0, last - first, at);
  return record("slice", {x}, y, [from = x.shape(), at, first, last](const Tensor& dy, Grads& grads) {
    const Tensor dx = Tensor::zeros(dy.context(), from, dy.dtype());
    copy_part(dy, 0, dx, first, last - first, at);
    grads.add(0, dx);
  });
}

std::vector<Tensor> split(const Tensor& x, int axis, const std::vector<std::int64_t>& sizes) {
  const int at = checked_axis("split", x.shape(), axis);
  std::int64_t total = 0;
  for (std::int64_t size : sizes) total += size;
  if (total != x.dim(at))
    fail("[split] the parts have ", total, " of ", x.dim(at), " indices along axis ", axis, " of ", x.shape());
  std::vector<Tensor> parts;
  std::int64_t first = 0;
  for (std::int64_t size : sizes) {
    parts.push_back(slice(x, at, first, first + size));
    first += size;
  }
  return parts;
}

Tensor gather(const Tensor& table, const Tensor& indices) {
  require_rank("gather", "table", table, 2);
  require_rank("gather", "indices", indices, 1);
  require_dtype("gather", "indices", indices, DType::i32);
  const Tensor y = Tensor::empty(table.context(), {indices.dim(0), table.dim(1)}, table.dtype());
  table.backend().gather_rows(table, indices, y.out());
  table.context().add_cost({0, 0, bytes_of(indices, y, y)});
  return record("gather", {table}, y, [shape = table.shape(), indices](const Tensor& dy, Grads& grads) {
    const Tensor dtable = Tensor::zeros(dy.context(), shape, dy.dtype());
    dy.backend().scatter_add_rows(dy, indices, dtable.out());
    dy.context().add_cost({0, static_cast<Count>(dy.count()), bytes_of(indices, dy, dy, dy)});
    grads.add(0, dtable);
  });
}

}  // namespace alma
