#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

class RouteRows : public KernelTest {
 public:
  void check(DType dtype, std::int64_t tokens, std::int64_t experts, std::int64_t capacity, std::int64_t d);
};

void RouteRows::check(DType dtype, std::int64_t tokens, std::int64_t experts, std::int64_t capacity, std::int64_t d) {
  SCOPED_TRACE(testing::Message() << tokens << " tokens, " << experts << " x " << capacity << " slots of " << d << " "
                                  << name_of(dtype));
  // Every third token goes to expert 0 while it has room, the others to the rest; the last expert stays idle.
  Values expert, position, slots(static_cast<std::size_t>(experts * capacity), -1);
  std::vector<std::int64_t> filled(static_cast<std::size_t>(experts), 0);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int64_t e = t % 3 == 0 || experts < 3 ? 0 : 1 + t % (experts - 2);
    const std::int64_t place = filled[static_cast<std::size_t>(e)]++;
    expert.push_back(static_cast<double>(e));
    position.push_back(place < capacity ? static_cast<double>(place) : -1);
    if (place < capacity) slots[static_cast<std::size_t>(e * capacity + place)] = static_cast<double>(t);
  }
  const Values rows = uniform("rows", tokens * d, dtype), slotted = uniform("slotted", experts * capacity * d, dtype);
  const Values gate = uniform("gate", tokens, dtype, 0, 1);
  const std::vector<Values> outputs = run([&](Device& device) {
    const Shape by_token{tokens, d}, by_slot{experts, capacity, d};
    const In x = device.in(dtype, by_token, rows), y = device.in(dtype, by_slot, slotted);
    const In in_slots = device.in(DType::i32, {experts, capacity}, slots), in_gate = device.in(dtype, {tokens}, gate);
    const In in_expert = device.in(DType::i32, {tokens}, expert), in_position = device.in(DType::i32, {tokens}, position);
    device->route_dispatch(x, in_slots, device.out(dtype, by_slot));
    device->route_dispatch_backward(y, in_expert, in_position, device.out(dtype, by_token));
    device->route_combine(y, in_expert, in_position, in_gate, device.out(dtype, by_token));
    const Out dx = device.out(dtype, by_slot), dgate = device.out(dtype, {tokens});
    device->route_combine_backward(y, in_slots, in_expert, in_position, in_gate, x, dx, dgate);
  });
  Values dispatched, gated, returned, combined;
  for (const double token : slots) {
    for (std::int64_t j = 0; j < d; ++j) {
      const double value = token < 0 ? 0 : rows[static_cast<std::size_t>(static_cast<std::int64_t>(token) * d + j)];
      dispatched.push_back(value);
      gated.push_back(token < 0 ? 0 : rounded(value * gate[static_cast<std::size_t>(token)], dtype));
    }
  }
  const auto slot_row = [&](std::size_t t) {
    return static_cast<std::size_t>((expert[t] * static_cast<double>(capacity) + position[t]) * static_cast<double>(d));
  };
  for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
    for (std::size_t j = 0; j < static_cast<std::size_t>(d); ++j) {
      const double value = position[t] < 0 ? 0 : slotted[slot_row(t) + j];
      returned.push_back(value);
      combined.push_back(rounded(value * gate[t], dtype));
    }
  }
  expect_equal(outputs[0], dispatched);
  expect_equal(outputs[1], returned);
  expect_equal(outputs[2], combined);
  expect_equal(outputs[3], gated);
  expect_matches(outputs[4], dtype, [&](auto type) {
    using T = decltype(type);
    Expected expected;
    for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
      PlainSum<T> sum;
      for (std::size_t j = 0; position[t] >= 0 && j < static_cast<std::size_t>(d); ++j)
        sum.add(static_cast<T>(slotted[slot_row(t) + j]) * static_cast<T>(rows[t * static_cast<std::size_t>(d) + j]));
      sum.add_to(expected);
    }
    return expected;
  });
}

TEST_P(RouteRows, RaggedSizes) {
  for (DType dtype : float_types())
    for (const std::int64_t tokens : {0, 1, 7, 8, 9, 33, 130})
      for (const std::int64_t experts : {1, 3, 6})
        for (const std::int64_t capacity : {0, 1, 5, 40})
          for (const std::int64_t d : {0, 1, 3, 4, 31, 128, 132}) check(dtype, tokens, experts, capacity, d);
}

TEST_P(RouteRows, LongRows) { check(DType::f32, 65, 4, 20, 1029); }

TEST_P(RouteRows, Errors) {
  Device device(backend(), 0);
  const In x = device.in(DType::f32, {2, 3}, Values(6, 0)), slots = device.in(DType::i32, {2, 1}, {0, 1});
  const Out y = device.in_out(DType::f32, {2, 1, 4}, Values(8, 0));
  EXPECT_EQ(error_of([&] { device->route_dispatch(x, slots, y); }),
            "[route_dispatch] the rows by token must be f32 [2, 4], got f32 [2, 3]");
}

INSTANTIATE_TEST_SUITE_P(On, RouteRows, testing::ValuesIn(devices()), device_test_name);

}  // namespace
}  // namespace alma::test
