#pragma once
#include "tests/kernels/central_difference.h"

namespace alma::test {

/// What is normalised together: rows of a layer norm, channels of a batch norm.
struct NormElement {
  std::int64_t index;      // in x
  std::int64_t parameter;  // in gamma and beta
};
using NormGroups = std::vector<std::vector<NormElement>>;

struct NormInputs {
  Values x, gamma, beta = {};
  double epsilon = 0;
  bool relu = false;
  Values mean = {}, rstd = {}, dy = {};  // for the backward
};

template <class T>
T element(const Values& values, std::int64_t i) {
  return static_cast<T>(values[static_cast<std::size_t>(i)]);
}

template <class T>
struct NormStatistics {
  PlainSum<T> sum, squares;
  T mean, variance, rstd;
};

template <class T>
NormStatistics<T> norm_statistics(const NormInputs& in, const std::vector<NormElement>& group) {
  NormStatistics<T> s{};
  for (const NormElement& e : group) s.sum.add(element<T>(in.x, e.index));
  const T count = static_cast<T>(group.size());
  s.mean = s.sum.value / count;
  for (const NormElement& e : group) {
    const T distance = element<T>(in.x, e.index) - s.mean;
    s.squares.add(distance * distance);
  }
  s.variance = s.squares.value / count;
  s.rstd = 1 / std::sqrt(s.variance + static_cast<T>(in.epsilon));
  return s;
}

/// mean and rstd of the truth, as an array of this type holds them: what a caller of the backward has.
inline void add_statistics(NormInputs& in, const NormGroups& groups, DType dtype) {
  for (const std::vector<NormElement>& group : groups) {
    const auto s = norm_statistics<long double>(in, group);
    in.mean.push_back(rounded(static_cast<double>(s.mean), dtype));
    in.rstd.push_back(rounded(static_cast<double>(s.rstd), dtype));
  }
}

/// outputs[first], [first + 1] and [first + 2] are y, mean and rstd.
inline void expect_norm(const std::vector<Values>& outputs, std::size_t first, DType dtype, const NormInputs& in,
                        const NormGroups& groups) {
  expect_matches(outputs[first], dtype, [&](auto type) {
    using T = decltype(type);
    Expected expected;
    expected.values.resize(in.x.size());
    expected.largest.resize(in.x.size());
    expected.typical_errors.resize(in.x.size());
    for (const std::vector<NormElement>& group : groups) {
      const NormStatistics<T> s = norm_statistics<T>(in, group);
      for (const NormElement& e : group) {
        const T x = element<T>(in.x, e.index), gamma = element<T>(in.gamma, e.parameter);
        const T beta = element<T>(in.beta, e.parameter), y = (x - s.mean) * s.rstd * gamma + beta;
        const auto i = static_cast<std::size_t>(e.index);
        const T scale = s.rstd * std::fabs(gamma);
        expected.values[i] = in.relu && y < 0 ? 0 : y;
        expected.largest[i] = std::max({std::fabs(x) * scale, std::fabs(s.mean) * scale, std::fabs(beta)});
        expected.typical_errors[i] = s.sum.typical_error() / static_cast<T>(group.size()) * scale;
      }
    }
    return expected;
  });
  expect_matches(outputs[first + 1], dtype, [&](auto type) {
    using T = decltype(type);
    Expected expected;
    for (const std::vector<NormElement>& group : groups)
      norm_statistics<T>(in, group).sum.add_to(expected, 1 / static_cast<T>(group.size()));
    return expected;
  });
  expect_matches(outputs[first + 2], dtype, [&](auto type) {
    using T = decltype(type);
    Expected expected;
    for (const std::vector<NormElement>& group : groups) {
      const NormStatistics<T> s = norm_statistics<T>(in, group);
      const T slope = s.rstd * s.rstd * s.rstd / 2;  // of rstd by the variance
      expected.add(s.rstd, s.rstd, slope * s.squares.typical_error() / static_cast<T>(group.size()));
    }
    return expected;
  });
}

/// outputs[first], [first + 1] and [first + 2] are dx, dgamma and dbeta; in.mean and in.rstd are what the
/// primitive was given.
inline void expect_norm_gradients(const std::vector<Values>& outputs, std::size_t first, DType dtype, const NormInputs& in,
                                  const NormGroups& groups) {
  const auto gradients = [&](auto type) {
    using T = decltype(type);
    struct Gradients {
      Expected dx, dgamma, dbeta;
    } result;
    result.dx.values.resize(in.x.size());
    result.dx.largest.resize(in.x.size());
    result.dx.typical_errors.resize(in.x.size());
    std::vector<PlainSum<T>> dgamma(in.gamma.size()), dbeta(in.gamma.size());
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const T mean = static_cast<T>(in.mean[g]), rstd = static_cast<T>(in.rstd[g]), count = static_cast<T>(groups[g].size());
      PlainSum<T> sum, slope;
      // x - mean may cancel: what it is made from counts as a number on the way.
      const auto add = [](PlainSum<T>& to, T factor, T normalised, T largest) {
        to.add(factor * normalised);
        to.largest = std::max(to.largest, std::fabs(factor) * largest);
      };
      const auto normalised = [&](const NormElement& e) { return (element<T>(in.x, e.index) - mean) * rstd; };
      const auto largest = [&](const NormElement& e) {
        return std::max(std::fabs(element<T>(in.x, e.index)), std::fabs(mean)) * rstd;
      };
      for (const NormElement& e : groups[g]) {
        const T dy = element<T>(in.dy, e.index), gamma = element<T>(in.gamma, e.parameter);
        sum.add(dy * gamma);
        add(slope, dy * gamma, normalised(e), largest(e));
        add(dgamma[static_cast<std::size_t>(e.parameter)], dy, normalised(e), largest(e));
        dbeta[static_cast<std::size_t>(e.parameter)].add(dy);
      }
      for (const NormElement& e : groups[g]) {
        const T dy = element<T>(in.dy, e.index) * element<T>(in.gamma, e.parameter);
        const auto i = static_cast<std::size_t>(e.index);
        result.dx.values[i] = rstd * (dy - sum.value / count - normalised(e) * slope.value / count);
        result.dx.largest[i] = rstd * std::max({std::fabs(dy), sum.largest / count, largest(e) * slope.largest / count});
        result.dx.typical_errors[i] =
            rstd * (sum.typical_error() + std::fabs(normalised(e)) * slope.typical_error()) / count;
      }
    }
    for (std::size_t p = 0; p < in.gamma.size(); ++p) {
      dgamma[p].add_to(result.dgamma);
      dbeta[p].add_to(result.dbeta);
    }
    return result;
  };
  expect_matches(outputs[first], dtype, [&](auto type) { return gradients(type).dx; });
  expect_matches(outputs[first + 1], dtype, [&](auto type) { return gradients(type).dgamma; });
  expect_matches(outputs[first + 2], dtype, [&](auto type) { return gradients(type).dbeta; });
}

}  // namespace alma::test
