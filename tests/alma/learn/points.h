#pragma once
#include <vector>

#include "alma/learn/samples.h"
#include "base/random.h"
#include "engine/ops_shape.h"

namespace alma::test {

/// Samples that are no images: points in space, labelled by their largest coordinate. Remembers what it was asked for.
class Points final : public Samples {
 public:
  static constexpr std::int64_t kFeatures = 3;
  Points(Context& context, std::int64_t count, DType dtype, Measure measure = Measure::error) : measure_(measure) {
    RandomStream random(3, "points");
    std::vector<double> x;
    std::vector<std::int32_t> y;
    for (std::int64_t i = 0; i < count; ++i) {
      std::int32_t largest = 0;
      for (std::int32_t c = 0; c < kFeatures; ++c) {
        x.push_back(random.uniform(-1, 1));
        if (x.back() > x[static_cast<std::size_t>(i * kFeatures + largest)]) largest = c;
      }
      y.push_back(largest);
    }
    x_ = dtype == DType::f64 ? Tensor::from(context, {count, kFeatures}, x)
                             : Tensor::from(context, {count, kFeatures}, std::vector<float>(x.begin(), x.end()));
    y_ = Tensor::from(context, {count, 1}, y);
  }
  std::int64_t count() const override { return y_.count(); }
  std::int64_t classes() const override { return kFeatures; }
  Measure measure() const override { return measure_; }
  Batch batch(const Tensor& indices, const Draw& draw) const override {
    Batch batch{gather(x_, indices), Tensor::empty(indices.context(), {indices.count()}, DType::i32)};
    indices.backend().gather_rows(y_, indices, batch.y.view({indices.count(), 1}).out());
    if (draw.members.empty()) {
      ++evaluated;
    } else {
      drawn.assign(draw.members.begin(), draw.members.end());
      sizes.push_back(indices.count());
    }
    return batch;
  }
  Tensor example(Context& context) const override { return Tensor::zeros(context, {1, kFeatures}, x_.dtype()); }
  std::int64_t evaluation_batch() const override { return 4; }

  mutable std::int64_t evaluated = 0;       // batches that were wanted as they are
  mutable std::vector<RandomPlace> drawn;   // the last Draw that was not empty
  mutable std::vector<std::int64_t> sizes;  // of the batches with a Draw

 private:
  Measure measure_;
  Tensor x_, y_;
};

}  // namespace alma::test
