#include "engine/profiler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "engine/nn.h"
#include "engine/ops_elementwise.h"
#include "engine/ops_loss.h"
#include "engine/ops_matmul.h"
#include "engine/ops_shape.h"
#include "engine/optim.h"

namespace alma::test {
namespace {

using Rows = std::map<std::string_view, ProfileRow>;

Tensor leaf(Context& context, const Shape& shape) {
  Tensor tensor = Tensor::full(context, shape, DType::f32, 0.5);
  return tensor.set_requires_grad(true);
}

TEST(Profiler, CallsAndCostsAreTheClosedFormsOfTheOps) {
  Profiler profiler;
  Context context("cpu", 1, {&profiler, "test"});
  const Tensor x = leaf(context, {7, 5}), w = leaf(context, {3, 5}), b = leaf(context, {3});
  const Tensor labels = Tensor::zeros(context, {7}, DType::i32);
  const Rows before = profiler.snapshot().lanes.at(0).primitives;
  EXPECT_EQ(before.at("fill").calls, 4);
  softmax_cross_entropy(linear(x, w, b, true), labels).backward();
  Optimizer optimizer({{"w", w}, {"b", b}}, AdadeltaRule{}, 1.0);
  optimizer.step();

  const Rows rows = profiler.snapshot().lanes.at(0).primitives;
  EXPECT_EQ(rows.at("matmul").calls, 3) << "forward, dW, dX";
  EXPECT_TRUE(rows.at("matmul").cost.macs == 7 * 5 * 3);
  EXPECT_TRUE(rows.at("matmul").cost.flops == 3 * 2 * 7 * 5 * 3);
  EXPECT_TRUE(rows.at("matmul").cost.bytes == 3 * 4 * (7 * 5 + 3 * 5 + 7 * 3));
  EXPECT_EQ(rows.at("softmax_cross_entropy").calls, 1);
  EXPECT_TRUE(rows.at("softmax_cross_entropy").cost.flops == 6 * 7 * 3);
  EXPECT_EQ(rows.at("bias_relu_backward").calls, 1);
  EXPECT_TRUE(rows.at("bias_relu_backward").cost.bytes == 3 * 4 * 7 * 3) << "dy, y, dz";
  // Two states per element; the upload of the step before it must not get the optimizer's cost.
  EXPECT_EQ(rows.at("adadelta").calls, 1);
  EXPECT_TRUE(rows.at("adadelta").cost.flops == 10 * (3 * 5 + 3));
  EXPECT_TRUE(rows.at("adadelta").cost.bytes == 7 * 4 * (3 * 5 + 3));
  EXPECT_EQ(rows.at("upload").calls, 1);
  EXPECT_TRUE(rows.at("upload").cost.flops == 0);
  EXPECT_TRUE(rows.at("upload").cost.bytes == sizeof(StepState));

  Cost sum;
  for (const auto& [name, row] : rows) sum += row.cost;
  EXPECT_TRUE(sum.flops == context.cost().flops) << "every FLOP belongs to a primitive";
  EXPECT_TRUE(sum.macs == context.cost().macs);
}

TEST(Profiler, WhatAnOpReportsOfACopyReplacesWhatTheCopyAssumes) {
  Profiler profiler;
  Context context("cpu", 1, {&profiler, "test"});
  const Tensor x = Tensor::zeros(context, {4, 3}, DType::f32);
  x.clone();             // no op, so no report: read and written
  concat({x, x, x}, 0);  // three copies, reported by the op
  const LaneProfile lane = profiler.snapshot().lanes.at(0);
  EXPECT_EQ(lane.primitives.at("copy").calls, 4);
  EXPECT_TRUE(lane.primitives.at("copy").cost.bytes == 4 * 2 * 48);
  for (const ProfileEvent& event : lane.events) {
    if (event.name == std::string("copy")) {
      EXPECT_EQ(event.bytes, 2u * 48);
    }
  }
}

TEST(Profiler, EventsHaveTheArraysOfTheirPrimitive) {
  Profiler profiler;
  Context context("cpu", 1, {&profiler, "test"});
  matmul(Tensor::zeros(context, {2, 3}, DType::f32), Tensor::zeros(context, {5, 3}, DType::f32), false, true);
  const LaneProfile lane = profiler.snapshot().lanes.at(0);
  const ProfileEvent& event = lane.events.back();
  EXPECT_STREQ(event.name, "matmul");
  EXPECT_STREQ(event.detail, "a b^T");
  EXPECT_EQ(event.flops, 2u * 2 * 3 * 5);
  const auto first = lane.sizes.begin() + static_cast<std::ptrdiff_t>(event.first_size);
  EXPECT_EQ(std::vector(first, first + static_cast<std::ptrdiff_t>(event.sizes)),
            (std::vector<std::int64_t>{2, 2, 3, 2, 5, 3, 2, 2, 5}))
      << "rank and sizes of a, b and c; there is no bias";
}

// Two events of one lane: one inside the other, or one after the other.
void expect_nested(const LaneProfile& lane) {
  for (const ProfileEvent& a : lane.events)
    for (const ProfileEvent& b : lane.events) {
      const std::int64_t a_end = a.start + a.duration, b_end = b.start + b.duration;
      const bool partly = a.start < b.start && b.start < a_end && a_end < b_end;
      EXPECT_FALSE(partly) << a.name << " and " << b.name << " overlap in part";
    }
}

TEST(Profiler, PhasesEncloseTheirPrimitivesAndCountTheirCost) {
  Profiler profiler;
  Context context("cpu", 1, {&profiler, "test"});
  const Tensor x = Tensor::zeros(context, {8, 8}, DType::f32);
  for (int i = 0; i < 3; ++i) {
    const ProfileSpan outer(context, "outer");
    matmul(x, x);
    const ProfileSpan inner(context, "inner");
    relu(x);
  }
  const LaneProfile lane = profiler.snapshot().lanes.at(0);
  EXPECT_EQ(lane.phases.at("outer").calls, 3);
  EXPECT_TRUE(lane.phases.at("outer").cost.flops == 3 * (2 * 8 * 8 * 8 + 64));
  EXPECT_TRUE(lane.phases.at("inner").cost.flops == 3 * 64);
  EXPECT_GE(lane.phases.at("outer").nanoseconds,
            lane.phases.at("inner").nanoseconds + lane.primitives.at("matmul").nanoseconds);
  EXPECT_EQ(std::count_if(lane.events.begin(), lane.events.end(), [](const ProfileEvent& e) { return e.phase; }), 6);
  expect_nested(lane);
}

TEST(Profiler, TheTraceEndsAtItsCapAndTheRowsDoNot) {
  Profiler profiler(10);
  Context context("cpu", 1, {&profiler, "test"});
  const Tensor x = Tensor::zeros(context, {1}, DType::f32);
  for (int i = 0; i < 100; ++i) relu(x);
  const Profile profile = profiler.snapshot();
  std::int64_t calls = 0;
  Count flops = 0;
  for (const auto& [name, row] : profile.lanes.at(0).primitives) {
    calls += row.calls;
    flops += row.cost.flops;
  }
  EXPECT_EQ(profile.lanes.at(0).primitives.at("relu").calls, 100);
  EXPECT_TRUE(flops == 100);
  EXPECT_EQ(profile.lanes.at(0).events.size(), 10u);
  EXPECT_EQ(profile.dropped, calls - 10);
}

TEST(Profiler, ThreadsShareOneAndKeepTheirLanes) {
  Profiler profiler;
  const auto work = [&](const char* name, int calls) {
    Context context("cpu", 1, {&profiler, name});
    const Tensor x = Tensor::zeros(context, {1}, DType::f32);
    for (int i = 0; i < calls; ++i) {
      const ProfileSpan span(context, "phase");
      relu(x);
      if (i % 50 == 0) profiler.snapshot();  // while the others record
    }
  };
  { std::jthread a(work, "a", 300), b(work, "b", 500), c(work, "c", 700); }
  const Profile profile = profiler.snapshot();
  ASSERT_EQ(profile.lanes.size(), 3u);
  for (const LaneProfile& lane : profile.lanes) {
    const std::int64_t calls = lane.name == "a" ? 300 : lane.name == "b" ? 500 : 700;
    EXPECT_EQ(lane.primitives.at("relu").calls, calls) << lane.name;
    EXPECT_EQ(lane.phases.at("phase").calls, calls) << lane.name;
    expect_nested(lane);
  }
}

TEST(Profiler, WithoutOneAContextRecordsNothing) {
  Context context("cpu");
  EXPECT_EQ(context.profiler(), nullptr);
  EXPECT_EQ(context.profile_lane(), nullptr);
  const ProfileSpan span(context, "nothing");
  EXPECT_TRUE(context.cost().flops == 0);
}

TEST(Profiler, APrimitiveThatThrowsIsNotRecorded) {
  Profiler profiler;
  Context context("cpu", 1, {&profiler, "test"});
  const Tensor x = Tensor::zeros(context, {2}, DType::f32), y = Tensor::zeros(context, {3}, DType::f32);
  EXPECT_THROW(context.backend().unary(UnaryOp::relu, x, y.out()), Error);
  EXPECT_FALSE(profiler.snapshot().lanes.at(0).primitives.contains("relu"));
}

}  // namespace
}  // namespace alma::test
