#include "gelu.h"

#include "engine/ops_check.h"
#include "gelu_cpu.h"
#include "kernels/open_backend.h"

using namespace alma;

namespace {

// The one place that knows how many kinds of devices there are. Only the cpu has no queue.
std::shared_ptr<GeluPrimitive> primitive_for(Context& context) {
  Backend& backend = context.backend();
  void* stream = backend.native_stream();
  if (stream == nullptr) return make_cpu_gelu(context.pool());
  const auto make = reinterpret_cast<MakeGelu>(open_kernels(backend, "gelu", kMakeGelu));
  return std::shared_ptr<GeluPrimitive>(make(stream));
}

}  // namespace

Gelu::Gelu(Context& context) : primitive_(primitive_for(context)) {}

Tensor Gelu::operator()(const Tensor& x) const {
  require_row_major("gelu", x);
  const Tensor y = Tensor::empty(x.context(), x.shape(), x.dtype());
  primitive_->gelu(x, y.out());
  y.context().add_cost({0, static_cast<Count>(y.count()), bytes_of(x, y)});
  return record("gelu", {x}, y, [primitive = primitive_, x = x.detach()](const Tensor& dy, Grads& grads) {
    const Tensor dx = Grads::in_place_of(dy);
    primitive->gelu_backward(x, dy, dx.out());
    dx.context().add_cost({0, static_cast<Count>(dx.count()), bytes_of(x, dy, dx)});
    grads.add(0, dx);
  });
}
