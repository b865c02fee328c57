#pragma once
// Many tensors in one launch, because most of a model's are small. Included after launch.h.
#include "base/error.h"

namespace alma {

/// Up to 64 tensors of a launch; travels with the kernel's arguments, which may have 4 KiB. `Tensor` has a `size`; a block
/// works on block_elements of one tensor.
template <class Tensor>
struct TensorTable {
  static constexpr int max_tensors = 64;
  Tensor tensors[max_tensors];
  int end[max_tensors];  // of the tensor's blocks
  int count;
};

/// What a block works on: elements [begin, end) of a tensor.
struct TensorPart {
  int tensor;
  std::int64_t begin, end;
};

template <int block_elements, class Tensor>
__device__ __forceinline__ TensorPart part_of(const TensorTable<Tensor>& table, int block) {
  int tensor = 0;
  while (table.end[tensor] <= block) ++tensor;
  const std::int64_t begin = std::int64_t{block - (tensor == 0 ? 0 : table.end[tensor - 1])} * block_elements;
  const std::int64_t size = table.tensors[tensor].size;
  return {tensor, begin, begin + block_elements < size ? begin + block_elements : size};
}

/// Calls start(table, blocks) for the tensors, 64 at a time; tensors without elements are left out.
template <int block_elements, class Tensor, class Tensors, class Start>
void in_tables(const Tensors& tensors, Start start) {
  TensorTable<Tensor> table{};
  int blocks = 0;
  const auto flush = [&] {
    if (table.count > 0) start(table, blocks);
    table.count = 0;
    blocks = 0;
  };
  for (const Tensor& tensor : tensors) {
    if (tensor.size == 0) continue;
    blocks += static_cast<int>(blocks_for(tensor.size, block_elements));
    table.tensors[table.count] = tensor;
    table.end[table.count++] = blocks;
    if (table.count == TensorTable<Tensor>::max_tensors) flush();
  }
  flush();
}

}  // namespace alma
