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
    // Element i is word (shift + i) % 4 of block first_block + (shift + i) / 4.
    const std::int64_t count = x.shape.count(), first_block = place.first / 4, shift = place.first % 4;
    for_pieces(pool_, ceil_divide(shift + count, 4), 4096, 20, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block) {
        const auto bits = philox.at(static_cast<std::uint64_t>(first_block + block), step);
        const std::int64_t first = 4 * block - shift;
        for (std::int64_t i = std::max<std::int64_t>(first, 0); i < std::min(count, first + 4); ++i)
          y.as<T>()[i] = bits[static_cast<std::size_t>(i - first)] >= dropped ? x.as<T>()[i] * scale : T(0);
      }
    });
  });
}

}  // namespace alma
