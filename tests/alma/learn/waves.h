#pragma once
#include <cmath>
#include <vector>

#include "alma/learn/samples.h"
#include "engine/ops_shape.h"

namespace alma::test {

/// The i-th number is scale * sin(0.7 i + phase), as in the scripts of tests/golden.
inline std::vector<float> wave(std::int64_t count, double phase, double scale = 1) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(scale * std::sin(0.7 * static_cast<double>(i) + phase)));
  return values;
}

/// The batches of growth.py and dash.py, 8 rows of 6 inputs in 3 classes: sample 8 t + i is row i of batch t.
class Waves final : public Samples {
 public:
  static constexpr std::int64_t kBatches = 256, kRows = 8, kInputs = 6, kClasses = 3;
  explicit Waves(Context& context) {
    std::vector<float> x;
    std::vector<std::int32_t> y;
    for (std::int32_t t = 0; t < kBatches; ++t) {
      for (const float value : wave(kRows * kInputs, 0.2 * t)) x.push_back(value);
      for (std::int32_t i = 0; i < kRows; ++i) y.push_back((i + t) % kClasses);
    }
    x_ = Tensor::from(context, {kBatches * kRows, kInputs}, x);
    y_ = Tensor::from(context, {kBatches * kRows, 1}, y);
  }
  std::int64_t count() const override { return kBatches * kRows; }
  std::int64_t classes() const override { return kClasses; }
  Measure measure() const override { return Measure::error; }
  Batch batch(const Tensor& indices, const Draw&) const override {
    Batch batch{gather(x_, indices), Tensor::empty(indices.context(), {indices.count()}, DType::i32)};
    indices.backend().gather_rows(y_, indices, batch.y.view({indices.count(), 1}).out());
    return batch;
  }
  Tensor example(Context& context) const override { return Tensor::zeros(context, {1, kInputs}, DType::f32); }
  std::int64_t evaluation_batch() const override { return 5; }  // of 8: the last batch is another size

 private:
  Tensor x_, y_;
};

/// Waves that remember the samples of each training step.
class RecordedWaves final : public Samples {
 public:
  explicit RecordedWaves(Context& context) : waves_(context) {}
  std::int64_t count() const override { return waves_.count(); }
  std::int64_t classes() const override { return waves_.classes(); }
  Measure measure() const override { return waves_.measure(); }
  Batch batch(const Tensor& indices, const Draw& draw) const override {
    if (!draw.members.empty()) steps.push_back(indices.to_vector<std::int32_t>());
    return waves_.batch(indices, draw);
  }
  Tensor example(Context& context) const override { return waves_.example(context); }
  std::int64_t evaluation_batch() const override { return 7; }

  mutable std::vector<std::vector<std::int32_t>> steps;

 private:
  Waves waves_;
};

/// The numbers of the samples of batch t.
inline std::vector<std::int32_t> batch_number(std::int32_t t) {
  std::vector<std::int32_t> samples;
  for (std::int32_t i = 0; i < Waves::kRows; ++i) samples.push_back(8 * t + i);
  return samples;
}

/// Gives a parameter half a wave.
inline void fill(const NamedTensor& parameter, double phase) {
  parameter.second.assign(std::span<const float>(wave(parameter.second.count(), phase, 0.5)));
}

}  // namespace alma::test
