#pragma once
#include <algorithm>

#include "tests/kernels/kernel_test.h"

namespace alma::test {

/// Tests of primitives on images in lanes16, on every level of the cpu.
class LanesTest : public KernelTest {
 protected:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  /// Of element (n, c, i, j); i and j from -1 to h and w, the halo.
  static std::size_t place(const Shape& s, std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t j) {
    return at((((n / 16 * s[1] + c) * (s[2] + 2) + i + 1) * (s[3] + 2) + j + 1) * 16 + n % 16);
  }
  /// f(image, channel, row, column) of every element, in the order of row_major.
  template <class F>
  static void each(const Shape& s, const F& f) {
    for (std::int64_t n = 0; n < s[0]; ++n)
      for (std::int64_t c = 0; c < s[1]; ++c)
        for (std::int64_t i = 0; i < s[2]; ++i)
          for (std::int64_t j = 0; j < s[3]; ++j) f(n, c, i, j);
  }

  /// Images in lanes16; what lies in spare lanes must not matter, so it is NaN.
  static In lanes(Device& device, const Shape& shape, const Values& values, DType dtype = DType::f32) {
    return as_lanes(device.in(dtype, {stored(shape)}, to_lanes(shape, values, dtype)), shape);
  }
  static Out lanes_out(Device& device, const Shape& shape, DType dtype = DType::f32) {
    Out out = device.out(dtype, {stored(shape)});
    out.shape = shape;
    out.layout = Layout::lanes16;
    return out;
  }
  static Out lanes_in_out(Device& device, const Shape& shape, const Values& values, DType dtype = DType::f32) {
    Out both = device.in_out(dtype, {stored(shape)}, to_lanes(shape, values, dtype));
    both.shape = shape;
    both.layout = Layout::lanes16;
    return both;
  }
  static std::int64_t stored(const Shape& shape) { return stored_count(shape, Layout::lanes16); }
  static In as_lanes(In in, const Shape& shape) {
    in.shape = shape;
    in.layout = Layout::lanes16;
    return in;
  }
  static Values to_lanes(const Shape& shape, const Values& values, DType dtype = DType::f32) {
    const double spare = dtype == DType::u8 ? 255 : std::numeric_limits<double>::quiet_NaN();
    Values all(at(stored(shape)), spare);
    const Shape padded{(shape[0] + 15) / 16 * 16, shape[1], shape[2] + 2, shape[3] + 2};
    each(padded, [&](std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t j) {
      if (i == 0 || j == 0 || i == shape[2] + 1 || j == shape[3] + 1) all[place(shape, n, c, i - 1, j - 1)] = 0;
    });
    std::size_t next = 0;
    each(shape, [&](std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t j) {
      all[place(shape, n, c, i, j)] = values[next++];
    });
    return all;
  }
  /// The elements of an output in the order of row_major, after a look at its halo where it has one.
  static Values from_lanes(const Shape& shape, const Values& all, bool halo = true) {
    const Shape padded{(shape[0] + 15) / 16 * 16, shape[1], shape[2] + 2, shape[3] + 2};
    std::int64_t wrong = 0;
    each(padded, [&](std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t j) {
      if (i == 0 || j == 0 || i == shape[2] + 1 || j == shape[3] + 1) wrong += !(all[place(shape, n, c, i - 1, j - 1)] == 0);
    });
    EXPECT_TRUE(!halo || wrong == 0) << wrong << " elements of the halo of " << shape << " are not zero";
    Values values;
    each(shape, [&](std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t j) {
      values.push_back(all[place(shape, n, c, i, j)]);
    });
    return values;
  }

  // Images in either layout.
  static In images(Device& device, Layout layout, DType dtype, const Shape& shape, const Values& values) {
    return layout == Layout::lanes16 ? lanes(device, shape, values, dtype) : device.in(dtype, shape, values);
  }
  static Out images_out(Device& device, Layout layout, DType dtype, const Shape& shape) {
    return layout == Layout::lanes16 ? lanes_out(device, shape, dtype) : device.out(dtype, shape);
  }
  static Out images_in_out(Device& device, Layout layout, DType dtype, const Shape& shape, const Values& values) {
    return layout == Layout::lanes16 ? lanes_in_out(device, shape, values, dtype) : device.in_out(dtype, shape, values);
  }
  static Values elements_of(Layout layout, const Shape& shape, const Values& output) {
    return layout == Layout::lanes16 ? from_lanes(shape, output) : output;
  }
};

/// Batches that fill blocks of 16 lanes, and that do not.
inline const std::vector<std::int64_t> ragged_batches = {1, 15, 16, 17, 33, 128};

}  // namespace alma::test
