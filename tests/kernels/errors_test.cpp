#include "tests/kernels/kernel_test.h"

namespace alma::test {
namespace {

/// Every primitive refuses what it cannot compute, by name, and says what it was given.
class Errors : public KernelTest {};

In array(Device& device, DType dtype, const Shape& shape) {
  return device.in(dtype, shape, Values(static_cast<std::size_t>(shape.count()), 0));
}
Out result(Device& device, DType dtype, const Shape& shape) {
  return device.in_out(dtype, shape, Values(static_cast<std::size_t>(shape.count()), 0));
}

TEST_P(Errors, TypesOfElementsAndMatrices) {
  const DType t = DType::i32;
  expect_error("matmul", "i32", [&](Device& d) {
    d->matmul(array(d, t, {2, 2}), false, array(d, t, {2, 2}), false, result(d, t, {2, 2}), {}, Math::f32);
  });
  expect_error("bias_relu_backward", "i32", [&](Device& d) {
    d->bias_relu_backward(array(d, t, {2, 2}), {}, {}, result(d, t, {2}));
  });
  expect_error("unary", "i32", [&](Device& d) { d->unary(UnaryOp::relu, array(d, t, {2}), result(d, t, {2})); });
  expect_error("binary", "i32",
               [&](Device& d) { d->binary(BinaryOp::add, array(d, t, {2}), array(d, t, {2}), result(d, t, {2})); });
  expect_error("affine", "i32", [&](Device& d) { d->affine(array(d, t, {2}), 1, 1, result(d, t, {2})); });
  expect_error("reduce_sum", "i32", [&](Device& d) { d->reduce_sum(array(d, t, {2}), result(d, t, {1})); });
  expect_error("argmax", "i32", [&](Device& d) { d->argmax(array(d, t, {2, 2}), result(d, t, {2})); });
  expect_error("softmax", "i32", [&](Device& d) { d->softmax(array(d, t, {2, 2}), result(d, t, {2, 2})); });
  expect_error("softmax_backward", "i32", [&](Device& d) {
    d->softmax_backward(array(d, t, {2, 2}), array(d, t, {2, 2}), result(d, t, {2, 2}));
  });
  expect_error("softmax_cross_entropy", "i32", [&](Device& d) {
    d->softmax_cross_entropy(array(d, t, {2, 2}), array(d, t, {2}), 1, {}, result(d, t, {}), {});
  });
  expect_error("mix", "i32", [&](Device& d) {
    const In expert = array(d, t, {2, 3});
    d->mix(array(d, t, {2, 1}), {&expert, 1}, result(d, t, {2, 3}));
  });
  expect_error("mix_backward", "i32", [&](Device& d) {
    const In expert = array(d, t, {2, 3});
    const Out dexpert = result(d, t, {2, 3});
    d->mix_backward(array(d, t, {2, 1}), {&expert, 1}, array(d, t, {2, 3}), result(d, t, {2, 1}), {&dexpert, 1});
  });
}

TEST_P(Errors, TypesOfRowsAndNorms) {
  const DType t = DType::i32;
  expect_error("gather_images", "i32", [&](Device& d) {
    d->gather_images(array(d, DType::u8, {2, 1, 2, 2}), array(d, t, {2}), array(d, t, {3}), {}, result(d, t, {3, 4}),
                     result(d, t, {3}), {});
  });
  expect_error("gather_rows", "u8", [&](Device& d) {
    d->gather_rows(array(d, DType::u8, {2, 2}), array(d, t, {1}), result(d, DType::u8, {1, 2}));
  });
  expect_error("scatter_add_rows", "i32", [&](Device& d) {
    d->scatter_add_rows(array(d, t, {1, 2}), array(d, t, {1}), result(d, t, {2, 2}));
  });
  expect_error("layer_norm", "i32", [&](Device& d) {
    d->layer_norm(array(d, t, {2, 3}), array(d, t, {3}), array(d, t, {3}), 1, result(d, t, {2, 3}), {}, {});
  });
  expect_error("layer_norm_backward", "i32", [&](Device& d) {
    const In x = array(d, t, {2, 3}), rows = array(d, t, {2}), gamma = array(d, t, {3});
    d->layer_norm_backward(x, gamma, rows, rows, x, result(d, t, {2, 3}), result(d, t, {3}), result(d, t, {3}));
  });
  expect_error("batch_norm", "i32", [&](Device& d) {
    const In x = array(d, t, {2, 3}), c = array(d, t, {3});
    d->batch_norm(x, c, c, {}, {}, {}, result(d, t, {2, 3}), result(d, t, {3}), result(d, t, {3}));
  });
  expect_error("batch_norm_inference", "i32", [&](Device& d) {
    const In x = array(d, t, {2, 3}), c = array(d, t, {3});
    d->batch_norm_inference(x, c, c, c, c, 1, false, result(d, t, {2, 3}));
  });
  expect_error("batch_norm_backward", "i32", [&](Device& d) {
    const In x = array(d, t, {2, 3}), c = array(d, t, {3});
    d->batch_norm_backward(x, c, {}, c, c, x, result(d, t, {2, 3}), result(d, t, {3}), result(d, t, {3}));
  });
}

TEST_P(Errors, TypesOfPoolsAndOptimizers) {
  const DType t = DType::i32;
  expect_error("max_pool", "i32", [&](Device& d) {
    d->max_pool(array(d, t, {1, 1, 2, 2}), {2, 2, 2}, result(d, t, {1, 1, 1, 1}), {});
  });
  expect_error("max_pool_backward", "i32", [&](Device& d) {
    d->max_pool_backward(array(d, t, {1, 1, 1, 1}), array(d, DType::u8, {1, 1, 1, 1}), {2, 2, 2},
                         result(d, t, {1, 1, 2, 2}));
  });
  expect_error("adaptive_average_pool", "i32", [&](Device& d) {
    d->adaptive_average_pool(array(d, t, {1, 1, 2, 2}), result(d, t, {1, 1, 1, 1}));
  });
  expect_error("adaptive_average_pool_backward", "i32", [&](Device& d) {
    d->adaptive_average_pool_backward(array(d, t, {1, 1, 1, 1}), result(d, t, {1, 1, 2, 2}));
  });
  const auto slot = [&](Device& d) {
    return OptimizerSlot{result(d, t, {2}), array(d, t, {2}), result(d, t, {2}), result(d, t, {2})};
  };
  for (const OptimizerRule& rule :
       {OptimizerRule{SgdRule{}}, OptimizerRule{AdadeltaRule{}}, OptimizerRule{AdamRule{}}, OptimizerRule{RmspropRule{}}}) {
    expect_error("optimize", "i32", [&](Device& d) {
      const OptimizerSlot s = slot(d);
      d->optimize({&s, 1}, rule, d.step_state({}));
    });
  }
}

TEST_P(Errors, InputsOfDifferentTypes) {
  const DType a = DType::f32, b = DType::f64;
  expect_error("matmul", "f64", [&](Device& d) {
    d->matmul(array(d, a, {2, 2}), false, array(d, b, {2, 2}), false, result(d, a, {2, 2}), {}, Math::f32);
  });
  expect_error("unary", "f64", [&](Device& d) { d->unary(UnaryOp::exp, array(d, a, {2}), result(d, b, {2})); });
  expect_error("binary", "f64",
               [&](Device& d) { d->binary(BinaryOp::add, array(d, a, {2}), array(d, b, {2}), result(d, a, {2})); });
  expect_error("softmax_cross_entropy", "f32", [&](Device& d) {
    d->softmax_cross_entropy(array(d, a, {2, 2}), array(d, a, {2}), 1, {}, result(d, a, {}), {});
  });
  expect_error("argmax", "f32", [&](Device& d) { d->argmax(array(d, a, {2, 2}), result(d, a, {2})); });
}

TEST_P(Errors, ShapesOfElementsAndMatrices) {
  const DType t = DType::f32;
  expect_error("matmul", "[2, 3]", [&](Device& d) {
    d->matmul(array(d, t, {2, 4}), false, array(d, t, {2, 3}), false, result(d, t, {2, 3}), {}, Math::f32);
  });
  expect_error("matmul", "[3, 2]", [&](Device& d) {
    d->matmul(array(d, t, {2, 4}), false, array(d, t, {4, 3}), false, result(d, t, {3, 2}), {}, Math::f32);
  });
  expect_error("matmul", "accumulate", [&](Device& d) {
    d->matmul(array(d, t, {2, 4}), false, array(d, t, {4, 3}), false, result(d, t, {2, 3}), {{}, true, true}, Math::f32);
  });
  expect_error("matmul", "[5, 4, 3], got f32 [6, 4, 3]", [&](Device& d) {
    d->matmul(array(d, t, {5, 2, 4}), false, array(d, t, {6, 4, 3}), false, result(d, t, {5, 2, 3}), {}, Math::f32);
  });
  expect_error("matmul", "c must be f32 [5, 2, 3], got f32 [2, 3]", [&](Device& d) {
    d->matmul(array(d, t, {5, 2, 4}), false, array(d, t, {4, 3}), false, result(d, t, {2, 3}), {}, Math::f32);
  });
  expect_error("matmul", "a must have 3 dimensions, got [2]", [&](Device& d) {
    d->matmul(array(d, t, {2}), false, array(d, t, {4, 3}), false, result(d, t, {2, 3}), {}, Math::f32);
  });
  expect_error("unary", "[3]", [&](Device& d) { d->unary(UnaryOp::exp, array(d, t, {2}), result(d, t, {3})); });
  expect_error("binary", "[3]",
               [&](Device& d) { d->binary(BinaryOp::add, array(d, t, {3}), array(d, t, {2}), result(d, t, {2})); });
  expect_error("reduce_sum", "[2]", [&](Device& d) { d->reduce_sum(array(d, t, {4}), result(d, t, {2})); });
  expect_error("softmax", "[2, 0]", [&](Device& d) { d->softmax(array(d, t, {2, 0}), result(d, t, {2, 0})); });
  expect_error("mix", "17", [&](Device& d) {
    const std::vector<In> experts(17, array(d, t, {2, 3}));
    d->mix(array(d, t, {2, 17}), experts, result(d, t, {2, 3}));
  });
}

TEST_P(Errors, ShapesOfRowsAndNorms) {
  const DType t = DType::f32;
  expect_error("gather_images", "[2, 5, 1, 1]", [&](Device& d) {
    d->gather_images(array(d, DType::u8, {2, 5, 1, 1}), array(d, DType::i32, {2}), array(d, DType::i32, {3}), {},
                     result(d, t, {3, 5}), result(d, DType::i32, {3}), {});
  });
  expect_error("gather_images", "null", [&](Device& d) {
    d->gather_images(array(d, DType::u8, {2, 1, 1, 1}), array(d, DType::i32, {2}), array(d, DType::i32, {3}), {},
                     result(d, t, {3, 1}), result(d, DType::i32, {3}), {.pad = 4});
  });
  expect_error("gather_images", "-1", [&](Device& d) {
    d->gather_images(array(d, DType::u8, {2, 1, 1, 1}), array(d, DType::i32, {2}), array(d, DType::i32, {3}), {},
                     result(d, t, {3, 1}), result(d, DType::i32, {3}), {.pad = -1});
  });
  expect_error("layer_norm", "[2, 0]", [&](Device& d) {
    d->layer_norm(array(d, t, {2, 0}), array(d, t, {0}), array(d, t, {0}), 1, result(d, t, {2, 0}), {}, {});
  });
  expect_error("layer_norm", "null", [&](Device& d) {
    const Out y = result(d, t, {2, 3});
    d->layer_norm(array(d, t, {2, 3}), array(d, t, {3}), array(d, t, {3}), 1, y, result(d, t, {2}), {nullptr, t, {2}});
  });
  expect_error("batch_norm", "[2, 3, 1]", [&](Device& d) {
    const In x = array(d, t, {2, 3, 1}), c = array(d, t, {3});
    d->batch_norm(x, c, c, {}, {}, {}, result(d, t, {2, 3, 1}), result(d, t, {3}), result(d, t, {3}));
  });
  expect_error("batch_norm_backward", "[4]", [&](Device& d) {
    const In x = array(d, t, {2, 3}), c = array(d, t, {3});
    d->batch_norm_backward(x, c, array(d, t, {4}), c, c, x, result(d, t, {2, 3}), result(d, t, {3}), result(d, t, {3}));
  });
}

TEST_P(Errors, ShapesOfPoolsAndOptimizers) {
  const DType t = DType::f32;
  expect_error("max_pool", "17 x 16", [&](Device& d) {
    d->max_pool(array(d, t, {1, 1, 20, 20}), {17, 16, 2}, result(d, t, {1, 1, 2, 3}), {});
  });
  expect_error("max_pool", "3 x 1", [&](Device& d) {
    d->max_pool(array(d, t, {1, 1, 2, 2}), {3, 1, 1}, result(d, t, {1, 1, 0, 2}), {});
  });
  expect_error("max_pool", "stride 0", [&](Device& d) {
    d->max_pool(array(d, t, {1, 1, 2, 2}), {2, 2, 0}, result(d, t, {1, 1, 1, 1}), {});
  });
  expect_error("max_pool_backward", "place", [&](Device& d) {
    d->max_pool_backward(array(d, t, {1, 1, 1, 1}), array(d, DType::u8, {1, 1, 2, 1}), {2, 2, 2},
                         result(d, t, {1, 1, 2, 2}));
  });
  expect_error("adaptive_average_pool", "[1, 1, 0, 1]", [&](Device& d) {
    d->adaptive_average_pool(array(d, t, {1, 1, 2, 2}), result(d, t, {1, 1, 0, 1}));
  });
  for (const OptimizerRule& rule : {OptimizerRule{AdamRule{}}, OptimizerRule{RmspropRule{.momentum = 0.9}}}) {
    expect_error("optimize", "null", [&](Device& d) {
      const OptimizerSlot slot{result(d, t, {2}), array(d, t, {2}), result(d, t, {2}), {nullptr, t, {2}}};
      d->optimize({&slot, 1}, rule, d.step_state({}));
    });
  }
  expect_error("optimize", "step state is null", [&](Device& d) { d->optimize({}, SgdRule{}, nullptr); });
}

class ErrorsOnCuda : public Errors {};

TEST_P(ErrorsOnCuda, F64WhereTheDeviceHasNone) {
  expect_error("unary", "f64",
               [&](Device& d) { d->unary(UnaryOp::exp, array(d, DType::f64, {2}), result(d, DType::f64, {2})); });
}

TEST_P(Errors, ArithmeticThatNobodyAskedForOrHas) {
  const auto product = [&](Device& d, DType a, DType c, Math math) {
    d->matmul(array(d, a, {2, 3}), false, array(d, a, {3, 2}), false, result(d, c, {2, 2}), {}, math);
  };
  expect_error("matmul", "math f32 does not go with operands in bf16",
               [&](Device& d) { product(d, DType::bf16, DType::bf16, Math::f32); });
  expect_error("matmul", "math bf16 does not go with operands in f32",
               [&](Device& d) { product(d, DType::f32, DType::f32, Math::bf16); });
  expect_error("matmul", "c must be f32 [2, 2], got bf16",
               [&](Device& d) { product(d, DType::f32, DType::bf16, Math::f32); });
  if (is_cpu()) {
    expect_error("matmul", "computes in f32 or f64, got math tf32",
                 [&](Device& d) { product(d, DType::f32, DType::f32, Math::tf32); });
    expect_error("matmul", "got math bf16", [&](Device& d) { product(d, DType::bf16, DType::f32, Math::bf16); });
  }
  expect_error("unary", "got bf16",
               [&](Device& d) { d->unary(UnaryOp::exp, array(d, DType::bf16, {2}), result(d, DType::bf16, {2})); });
}

TEST_P(Errors, EpiloguesThatDoNotGoTogether) {
  const DType t = DType::f32;
  const auto product = [&](Device& d, bool transpose_a, const Epilogue& epilogue) {
    d->matmul(array(d, t, {2, 2}), transpose_a, array(d, t, {2, 2}), false, result(d, t, {2, 2}), epilogue, Math::f32);
  };
  expect_error("matmul", "go without bias, relu, accumulate and batch",
               [&](Device& d) { product(d, true, {.relu = true, .sums_of_a = result(d, t, {2})}); });
  expect_error("matmul", "mask and column_sums go with masked_by",
               [&](Device& d) { product(d, false, {.column_sums = result(d, t, {2})}); });
  expect_error("matmul", "sums_of_a goes with transpose_a",
               [&](Device& d) { product(d, false, {.sums_of_a = result(d, t, {2})}); });
  expect_error("matmul", "relu_mask goes with relu",
               [&](Device& d) { product(d, false, {.relu_mask = result(d, DType::u8, {32})}); });
  expect_error("matmul", "masked_by must be f32 [2, 2], got f32 [2, 3]", [&](Device& d) {
    product(d, false, {.masked_by = array(d, t, {2, 3})});
  });
}

INSTANTIATE_TEST_SUITE_P(On, Errors, testing::ValuesIn(devices()), device_test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ErrorsOnCuda);  // a build without CUDA
INSTANTIATE_TEST_SUITE_P(On, ErrorsOnCuda, testing::ValuesIn(cuda_devices()), device_test_name);

}  // namespace
}  // namespace alma::test
