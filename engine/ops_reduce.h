#pragma once
#include <initializer_list>

#include "engine/tensor.h"

namespace alma {

/// Sum over all elements: a scalar.
Tensor sum(const Tensor& x);
/// Sum over the named axes (negative: from the end); they stay as size 1 if `keep`, else disappear.
Tensor sum(const Tensor& x, std::initializer_list<int> axes, bool keep = false);
/// Mean over all elements. Throws Error for an empty tensor.
Tensor mean(const Tensor& x);
Tensor mean(const Tensor& x, std::initializer_list<int> axes, bool keep = false);
/// Index of the largest element of each row of x [rows, n]; the lowest index wins ties. i32 [rows], no gradient.
Tensor argmax(const Tensor& x);

}  // namespace alma
