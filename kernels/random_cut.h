#pragma once
#include "base/philox.h"
#include "kernels/backend.h"

namespace alma {

/// Where an augmented image comes from: its element (r, c) is (r + row, c + column) of the stored image, which lies within
/// `pad` rows and columns of fill; of a mirrored one with w - 1 - c for c.
struct RandomCut {
  int row, column;  // -pad .. pad
  bool mirrored;
};

/// That of image i of the batch in this step: block place.first + i of Philox, the same on every device. The bias of the
/// offsets is (2 pad + 1) / 2^32.
ALMA_HOST_DEVICE inline RandomCut random_cut(const ImageAugmentation& augmentation, std::int64_t step, std::int64_t i) {
  const RandomPlace& place = augmentation.place;
  const PhiloxWords bits =
      Philox::of(place.key).at(static_cast<std::uint64_t>(place.first + i), static_cast<std::uint64_t>(step));
  const auto offset = [&](std::uint32_t word) {
    const std::uint64_t places = 2 * static_cast<std::uint64_t>(augmentation.pad) + 1;
    return static_cast<int>(word * places >> 32) - augmentation.pad;
  };
  return {offset(bits[0]), offset(bits[1]), augmentation.flip && (bits[2] >> 31) != 0};
}

}  // namespace alma
