#pragma once
#include <cstdint>

namespace alma::bench {

/// A product of the workload: C [m, n] = op(A) op(B), row-major, A [m, k] or transposed [k, m], B [k, n] or transposed [n,
/// k]. This file includes no other header of the project, so that any program can measure the same products.
struct GemmShape {
  const char* name;
  std::int64_t m, n, k;
  bool transpose_a, transpose_b;
};

// fwd = x W^T with W [out, in], dX = dz W, dW = dz^T x; a batch of `batch` rows.
#define ALMA_LAYER(name, batch, in, out)                                                    \
  {name "_fwd", batch, out, in, false, true}, {name "_dX", batch, in, out, false, false}, { \
    name "_dW", out, in, batch, true, false                                                 \
  }
#define ALMA_MLP(name, batch, width)                                                        \
  ALMA_LAYER(name "/fc1", batch, 784, width), ALMA_LAYER(name "/fc2", batch, width, width), \
      ALMA_LAYER(name "/fc3", batch, width, 10)

/// MNIST networks at batch 64 and 128 (fc1, fc2, fc3 of width 4, 16, 64); a Transformer's on 4096 tokens; 3x3 convolutions
/// of c to c channels at batch 128 as products of unfolded images, [128 h w, 9 c] [9 c, c]; squares.
inline constexpr GemmShape kGemmShapes[] = {
    ALMA_MLP("mlp_n64_h4", 64, 4),
    ALMA_MLP("mlp_n64_h16", 64, 16),
    ALMA_MLP("mlp_n64_h64", 64, 64),
    ALMA_MLP("mlp_n128_h4", 128, 4),
    ALMA_MLP("mlp_n128_h16", 128, 16),
    ALMA_MLP("mlp_n128_h64", 128, 64),
    {"transformer/4096x512x2048", 4096, 2048, 512, false, false},
    {"transformer/4096x2048x512", 4096, 512, 2048, false, false},
    {"transformer/4096x512x512", 4096, 512, 512, false, false},
    {"transformer/dW_512x4096x2048", 512, 2048, 4096, true, false},
    {"transformer/attention_qk_512x64x512", 512, 512, 64, false, true},
    {"transformer/attention_pv_512x512x64", 512, 64, 512, false, false},
    {"conv_c64/32x32_fwd", 128 * 1024, 64, 576, false, false},
    {"conv_c64/16x16_fwd", 128 * 256, 64, 576, false, false},
    {"conv_c64/8x8_fwd", 128 * 64, 64, 576, false, false},
    {"conv_c64/4x4_fwd", 128 * 16, 64, 576, false, false},
    {"conv_c64/2x2_fwd", 128 * 4, 64, 576, false, false},
    {"conv_c64/16x16_dcol", 128 * 256, 576, 64, false, true},
    {"conv_c64/16x16_dW", 576, 64, 128 * 256, true, false},
    {"conv_c64/16x16_image", 64, 256, 576, false, false},
    {"conv_c16/32x32_fwd", 128 * 1024, 16, 144, false, false},
    {"conv_c16/8x8_fwd", 128 * 64, 16, 144, false, false},
    {"conv_c16/16x16_dcol", 128 * 256, 144, 16, false, true},
    {"conv_c16/16x16_dW", 144, 16, 128 * 256, true, false},
    {"conv_c16/16x16_image", 16, 256, 144, false, false},
    {"conv_c4/32x32_fwd", 128 * 1024, 4, 36, false, false},
    {"conv_c4/8x8_fwd", 128 * 64, 4, 36, false, false},
    {"conv_c4/16x16_dcol", 128 * 256, 36, 4, false, true},
    {"conv_c4/16x16_dW", 36, 4, 128 * 256, true, false},
    {"conv_c4/16x16_image", 4, 256, 36, false, false},
    {"square/1024", 1024, 1024, 1024, false, false},
    {"square/2048", 2048, 2048, 2048, false, false},
};
#undef ALMA_MLP
#undef ALMA_LAYER

}  // namespace alma::bench
