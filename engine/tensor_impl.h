#pragma once
#include "engine/autograd.h"

namespace alma {

struct Tensor::Impl {
  std::shared_ptr<Storage> storage;
  std::int64_t first = 0;  // element at which this tensor starts
  Shape shape;
  DType dtype = DType::f32;
  Layout layout = Layout::row_major;
  bool is_leaf = false;  // a gradient is wanted here
  bool is_one = false;
  std::shared_ptr<Node> node;  // the op that made it
  Tensor grad;
};

}  // namespace alma
