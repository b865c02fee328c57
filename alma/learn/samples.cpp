#include "alma/learn/samples.h"

#include <numeric>
#include <vector>

namespace alma {

Tensor all_indices(Context& context, std::int64_t count) {
  std::vector<std::int32_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return Tensor::from(context, {count}, indices);
}

}  // namespace alma
