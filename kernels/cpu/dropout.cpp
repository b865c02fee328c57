#include "kernels/dropout.h"
#include "kernels/checks/dropout.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/parallel.h"

namespace alma {

void CpuBackend::dropout(const In& x, double probability, const RandomPlace& place, const Out& y) {
  const Observed seen = check::dropout(*this, x, probability, place, y);
  for_float("dropout", x.dtype, [&](auto type) {
    using T = decltype(type);
    const Philox philox = Philox::of(place.key);
    const auto step = static_cast<std::uint64_t>(place.state->step);
    const std::uint32_t dropped = dropout_threshold(probability);
    const T scale = static_cast<T>(1 / (1 - probability));
    const std::int64_t count = x.shape.count();
    for_pieces(pool_, ceil_divide(count, 4), 4096, 20, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t four = begin; four < end; ++four) {
        const auto bits = philox.at(static_cast<std::uint64_t>(four), step);
        for (std::int64_t i = 4 * four; i < std::min(count, 4 * four + 4); ++i)
          y.as<T>()[i] = bits[static_cast<std::size_t>(i % 4)] >= dropped ? x.as<T>()[i] * scale : T(0);
      }
    });
  });
}

}  // namespace alma
