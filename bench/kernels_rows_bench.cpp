// Benchmarks of the kernels on elements and on rows.
#include "bench/kernels_bench.h"

namespace alma::bench {

namespace {

/// Activations: of the MNIST networks, and of a Transformer of width 512 on 512 and on 4096 tokens.
struct Matrix {
  const char* name;
  std::int64_t rows, columns;
  Shape shape() const { return {rows, columns}; }
};
constexpr Matrix kActivations[] = {{"128x784", 128, 784}, {"512x512", 512, 512}, {"4096x512", 4096, 512}};
/// Classes, gates, widths of Transformers, and rows that no block holds.
constexpr Matrix kRows[] = {{"128x10", 128, 10},   {"128x16", 128, 16},     {"512x64", 512, 64},
                            {"512x768", 512, 768}, {"4096x512", 4096, 512}, {"128x4096", 128, 4096},
                            {"64x8192", 64, 8192}, {"16x16384", 16, 16384}};

void register_unary(Suite& suite, const Matrix& m) {
  const auto unary = [&](const char* name, UnaryOp op) {
    add_kernel(suite, std::string(name) + "/" + m.name, [=](Arrays& a) -> Call {
      return [x = a.in(m.shape()), y = a.out(m.shape()), op](Backend& b) { b.unary(op, x, y); };
    });
  };
  unary("relu", UnaryOp::relu);
  unary("gelu", UnaryOp::gelu);
  unary("exp", UnaryOp::exp);
  unary("log", UnaryOp::log);
  unary("sqrt", UnaryOp::sqrt);
  add_kernel(suite, std::string("affine/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in(m.shape()), y = a.out(m.shape())](Backend& b) { b.affine(x, 2, 1, y); };
  });
  add_kernel(suite, std::string("dropout/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in(m.shape()), y = a.out(m.shape()), place = RandomPlace{1, a.state()}](Backend& b) {
      b.dropout(x, 0.1, place, y);
    };
  });
}

void register_binary(Suite& suite, const Matrix& m) {
  const auto binary = [&](const char* name, BinaryOp op, const Shape& other) {
    add_kernel(suite, std::string(name) + "/" + m.name, [=](Arrays& a) -> Call {
      return [x = a.in(m.shape()), z = a.in(other), y = a.out(m.shape()), op](Backend& b) { b.binary(op, x, z, y); };
    });
  };
  binary("add", BinaryOp::add, m.shape());
  binary("subtract", BinaryOp::subtract, m.shape());
  binary("multiply", BinaryOp::multiply, m.shape());
  binary("divide", BinaryOp::divide, m.shape());
  binary("relu_gradient", BinaryOp::relu_gradient, m.shape());
  binary("gelu_gradient", BinaryOp::gelu_gradient, m.shape());
  binary("add_row", BinaryOp::add, {m.columns});
  binary("multiply_column", BinaryOp::multiply, {m.rows, 1});
}

void register_types(Suite& suite, const Matrix& m) {
  if (suite.context.backend().info().device != "cpu") {  // the cpu's products do not support bf16
    add_kernel(suite, std::string("fill_bf16/") + m.name,
               [=](Arrays& a) -> Call { return [y = a.out(m.shape(), DType::bf16)](Backend& b) { b.fill(y, 1); }; });
  }
  for (const DType type : {DType::f32, DType::i32, DType::u8})
    add_kernel(suite, std::string("fill_") + name_of(type) + "/" + m.name,
               [=](Arrays& a) -> Call { return [y = a.out(m.shape(), type)](Backend& b) { b.fill(y, 1); }; });
  add_kernel(suite, std::string("cast_to_bf16/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in(m.shape()), y = a.out(m.shape(), DType::bf16)](Backend& b) { b.cast(x, y); };
  });
  add_kernel(suite, std::string("cast_to_f32/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in_bf16(m.shape()), y = a.out(m.shape())](Backend& b) { b.cast(x, y); };
  });
  // As for a split: half of each row.
  add_kernel(suite, std::string("copy_columns/") + m.name, [=](Arrays& a) -> Call {
    const std::size_t pitch = static_cast<std::size_t>(m.columns) * sizeof(float);
    return [x = a.in_part(m.shape(), 0.5), y = a.out({m.rows, m.columns / 2}), pitch, m](Backend& b) {
      b.copy(x.data, pitch, y.data, pitch / 2, pitch / 2, static_cast<std::size_t>(m.rows));
    };
  });
}

void register_sums(Suite& suite, const Matrix& m) {
  const auto sum = [&](const char* name, const Shape& to) {
    add_kernel(suite, std::string(name) + "/" + m.name,
               [=](Arrays& a) -> Call { return [x = a.in(m.shape()), y = a.out(to)](Backend& b) { b.reduce_sum(x, y); }; });
  };
  sum("sum_rows", {m.rows, 1});
  sum("sum_columns", {1, m.columns});
  sum("sum_all", {1, 1});
  add_kernel(suite, std::string("bias_relu_backward/") + m.name, [=](Arrays& a) -> Call {
    return [dy = a.in(m.shape()), y = a.in(m.shape()), dz = a.out(m.shape()), dbias = a.out({m.columns})](Backend& b) {
      b.bias_relu_backward(dy, y, dz, dbias);
    };
  });
}

void register_softmax(Suite& suite, const Matrix& m) {
  add_kernel(suite, std::string("argmax/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in(m.shape()), y = a.out({m.rows}, DType::i32)](Backend& b) { b.argmax(x, y); };
  });
  add_kernel(suite, std::string("softmax/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in(m.shape()), y = a.out(m.shape())](Backend& b) { b.softmax(x, y); };
  });
  add_kernel(suite, std::string("softmax_backward/") + m.name, [=](Arrays& a) -> Call {
    return [y = a.in(m.shape()), dy = a.in(m.shape()), dx = a.out(m.shape())](Backend& b) { b.softmax_backward(y, dy, dx); };
  });
  add_kernel(suite, std::string("softmax_cross_entropy/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in(m.shape()), labels = a.indices({m.rows}, m.columns), grad = a.out(m.shape()), loss = a.out({}),
            hits = a.out({}, DType::i32)](Backend& b) { b.softmax_cross_entropy(x, labels, 1, grad, loss, hits); };
  });
}

void register_layer_norm(Suite& suite, const Matrix& m) {
  const Shape rows{m.rows}, columns{m.columns};
  add_kernel(suite, std::string("layer_norm/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in(m.shape()), gamma = a.in(columns), beta = a.in(columns), y = a.out(m.shape()), mean = a.out(rows),
            rstd = a.out(rows)](Backend& b) { b.layer_norm(x, gamma, beta, 1e-5, y, mean, rstd); };
  });
  add_kernel(suite, std::string("layer_norm_backward/") + m.name, [=](Arrays& a) -> Call {
    return [x = a.in(m.shape()), gamma = a.in(columns), mean = a.in(rows), rstd = a.in(rows), dy = a.in(m.shape()),
            dx = a.out(m.shape()), dgamma = a.out(columns),
            dbeta = a.out(columns)](Backend& b) { b.layer_norm_backward(x, gamma, mean, rstd, dy, dx, dgamma, dbeta); };
  });
}

// Scores of attention over 256 places: of which, as many heads as `matrices`.
void register_attention(Suite& suite, std::int64_t matrices) {
  constexpr std::int64_t t = 256;
  constexpr double below = (t + 1) / (2.0 * t);  // the part on and below the diagonal
  const Shape shape{matrices, t, t};
  const std::string name = "/" + std::to_string(matrices) + "x256x256";
  add_kernel(suite, "causal_softmax" + name, [=](Arrays& a) -> Call {
    return [x = a.in_part(shape, below), y = a.out(shape)](Backend& b) { b.causal_softmax(x, 0.125, y); };
  });
  add_kernel(suite, "causal_softmax_backward" + name, [=](Arrays& a) -> Call {
    return [y = a.in_part(shape, below), dy = a.in_part(shape, below), dx = a.out(shape)](Backend& b) {
      b.causal_softmax_backward(y, dy, 0.125, dx);
    };
  });
}

void register_fused_attention(Suite& suite) {
  if (!suite.context.backend().has_causal_attention()) return;
  // Four sequences of 512 positions, 8 heads of 64: base's. A query sees half of the keys.
  constexpr std::int64_t sequences = 4, heads = 8, d = 64;
  const Shape qkv{sequences * 512, 3 * heads * d}, rows{sequences * 512, heads * d}, sums{sequences, heads, 512};
  add_kernel(suite, "causal_attention/4x8x512x64", [=](Arrays& a) -> Call {
    return [x = a.in(qkv), y = a.out(rows), s = a.out(sums)](Backend& b) { b.causal_attention(x, sequences, heads, y, s); };
  });
  add_kernel(suite, "causal_attention_backward/4x8x512x64", [=](Arrays& a) -> Call {
    return [x = a.in(qkv), y = a.in(rows), s = a.in(sums), dy = a.in(rows), dx = a.out(qkv)](Backend& b) {
      b.causal_attention_backward(x, y, s, dy, sequences, heads, dx);
    };
  });
}

}  // namespace

void register_element_kernels(Suite& suite) {
  for (const Matrix& m : kActivations) {
    register_types(suite, m);
    register_unary(suite, m);
    register_binary(suite, m);
    register_sums(suite, m);
  }
}

void register_row_kernels(Suite& suite) {
  for (const Matrix& m : kRows) {
    register_softmax(suite, m);
    register_layer_norm(suite, m);
  }
  for (const std::int64_t matrices : {8, 128}) register_attention(suite, matrices);
  register_fused_attention(suite);
}

}  // namespace alma::bench
