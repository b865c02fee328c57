#include "kernels/checks/conversions.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/lanes_rows.h"

namespace alma {

void CpuBackend::convert_layout(const In& x, const Out& y) {
  const Observed seen = check::convert_layout(*this, x, y);
  if (x.shape.count() == 0) return;
  const bool into_lanes = y.layout == Layout::lanes16;
  const LaneImages z(x.shape);
  const std::int64_t planes = z.blocks() * z.c, plane = z.h * z.w;
  for_pieces(pool_, planes, 1, 10.0 * static_cast<double>(plane), [&](std::int64_t piece, std::int64_t) {
    const std::int64_t block = piece / z.c, c = piece % z.c;
    const std::int64_t image = (block * kImageLanes * z.c + c) * plane, lanes = z.lanes(block);
    if (into_lanes) {
      float* to = y.as<float>() + piece * z.plane();
      clear_halo(z, 0, z.h, to);
      for (std::int64_t i = 0; i < z.h; ++i)
        rows_to_lanes([&](int lane) { return x.as<float>() + image + i * z.w + lane * z.c * plane; }, lanes, z.w,
                      to + z.inside() + i * z.row());
    } else {
      const float* from = x.as<float>() + piece * z.plane();
      for (std::int64_t i = 0; i < z.h; ++i)
        lanes_to_rows(from + z.inside() + i * z.row(), z.w, lanes, y.as<float>() + image + i * z.w, z.c * plane);
    }
  });
}

}  // namespace alma
