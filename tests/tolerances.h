#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/views.h"

namespace alma::test {

/// Every tolerance of the tests, each with its reason. None is widened to make a test pass.
namespace tolerance {

/// A kernel may err as much as a plain loop in its own type, and twice that, because another order of summation and fused
/// multiply-adds give other roundings of the same size. The worst element of the plain loop counts, and never less
/// than its roundings come to on average: a single sum can be right by luck.
inline constexpr double times_plain_loop = 2;

/// And always by this many units in the last place of the largest number on the way to an element, term or partial sum: the
/// result cannot be more exact than what it is made from, and exp, log, sqrt and division are each within 1 to 2 units.
inline constexpr double ulps_of_largest_number = 4;

/// A product in tf32, relative to the sum of its terms' magnitudes: each factor keeps 10 bits after the leading one, and the
/// hardware may cut the rest off, 2^-10 each; f32 sums are far below that.
inline constexpr double tf32_product = 2.0 / 1024;

/// Gradients by central differences in f64 with steps of 1e-6 to 1e-5: truncation up to 1e-10, cancellation 1e-10, both
/// relative to the magnitude of the loss; the rest is room for curvature.
inline constexpr double central_difference = 1e-7;

/// An optimizer in f64 against the same update rule written in another order, relative, after 100 steps: 100 roundings of
/// 1e-16, amplified by divisions of small numbers.
inline constexpr double optimizer_f64 = 1e-12;

/// PyTorch's numbers, of magnitude 1: in f64 the same arithmetic in another order (100 optimizer steps, or 5 training
/// steps); in f32 a hundred roundings of 6e-8.
inline constexpr double golden_f64 = 1e-12;
inline constexpr double golden_f32 = 1e-5;
/// Where batch normalisation amplifies roundings, PyTorch in f32 is itself further than that from f64: so many times its
/// error, which the golden values hold, as for kernels and the plain loop.
inline constexpr double golden_f32_of_pytorch = 2;

/// Weights of one device after 20 training steps against those of another, relative to the largest of the tensor: f32
/// roundings, amplified by training.
inline constexpr double devices_after_20_steps = 1e-4;
/// And the test errors of two such runs of up to 500 steps: half a point.
inline constexpr double devices_error = 0.005;

/// Losses and weights of a few training steps in micro-batches against those of whole batches, relative to the largest of
/// the tensor: sums of the same f32 terms in another order, tens of roundings of 6e-8.
inline constexpr double micro_batches = 2e-6;

/// One run against the paper's mean over three seeds: two standard errors of the difference, given the spread over seeds.
/// Those of SM at h = 4 on MNIST: bench/results/README.md, ten seeds.
inline double one_run_against_three(double spread) { return 2 * spread * std::sqrt(1 + 1.0 / 3); }
inline constexpr double spread_of_tardy_error = 0.0066;  // final error, w = 500
inline constexpr double spread_of_cer_at_10 = 7.99;      // CER of Eq. 1, w = 10

}  // namespace tolerance

/// One unit in the last place of `magnitude` in this type; the smallest subnormal at 0.
inline long double unit_in_last_place(DType dtype, long double magnitude) {
  const int digits = dtype == DType::bf16 ? 8 : dtype == DType::f32 ? 24 : 53;
  const int smallest = dtype == DType::bf16 ? -133 : dtype == DType::f32 ? -149 : -1074;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  return std::ldexp(1.0L, magnitude == 0 ? smallest : std::max(exponent - digits, smallest));
}

/// What a kernel may differ from the truth at one element.
inline long double allowed_error(DType dtype, long double worst_plain_error, long double largest_number) {
  return std::max<long double>(tolerance::times_plain_loop * worst_plain_error,
                               tolerance::ulps_of_largest_number * unit_in_last_place(dtype, largest_number));
}

}  // namespace alma::test
