// Benchmarks of the kernels of convolutional layers, routing, mixtures, data and optimizers.
#include "bench/kernels_bench.h"

namespace alma::bench {

namespace {

void register_batch_norm(Suite& suite, const VggLayer& layer) {
  const Shape x_shape = layer.shape(), c{layer.channels};
  add_kernel(suite, "batch_norm/" + layer.name(), [=](Arrays& a) -> Call {
    return [x = a.in_images(x_shape), gamma = a.in(c), beta = a.in(c), running_mean = a.update(c), running_var = a.update(c),
            y = a.out_images(x_shape), mean = a.out(c), rstd = a.out(c)](Backend& b) {
      b.batch_norm(x, gamma, beta, {0.1, 1e-5, true}, running_mean, running_var, y, mean, rstd);
    };
  });
  add_kernel(suite, "batch_norm_inference/" + layer.name(), [=](Arrays& a) -> Call {
    return [x = a.in_images(x_shape), gamma = a.in(c), beta = a.in(c), mean = a.in(c), var = a.in(c),
            y = a.out_images(x_shape)](Backend& b) { b.batch_norm_inference(x, gamma, beta, mean, var, 1e-5, true, y); };
  });
  add_kernel(suite, "batch_norm_backward/" + layer.name(), [=](Arrays& a) -> Call {
    return [x = a.in_images(x_shape), gamma = a.in(c), beta = a.in(c), mean = a.in(c), rstd = a.in(c),
            dy = a.in_images(x_shape), dx = a.out_images(x_shape), dgamma = a.out(c),
            dbeta = a.out(c)](Backend& b) { b.batch_norm_backward(x, gamma, beta, mean, rstd, dy, dx, dgamma, dbeta); };
  });
}

void register_max_pool(Suite& suite, const std::string& name, const Shape& images, const Shape& pooled,
                       const PoolWindow& window) {
  add_kernel(suite, "max_pool/" + name, [=](Arrays& a) -> Call {
    return [x = a.in_images(images), y = a.out_images(pooled), place = a.out_images(pooled, DType::u8), window](Backend& b) {
      b.max_pool(x, window, y, place);
    };
  });
  add_kernel(suite, "max_pool_backward/" + name, [=](Arrays& a) -> Call {
    return [dy = a.in_images(pooled), place = a.in_images(pooled, DType::u8), dx = a.out_images(images),
            window](Backend& b) { b.max_pool_backward(dy, place, window, dx); };
  });
}

void register_average_pool(Suite& suite, const std::string& name, const Shape& images, const Shape& pooled) {
  add_kernel(suite, "adaptive_average_pool/" + name, [=](Arrays& a) -> Call {
    return [x = a.in_images(images), y = a.out(pooled)](Backend& b) { b.adaptive_average_pool(x, y); };
  });
  add_kernel(suite, "adaptive_average_pool_backward/" + name, [=](Arrays& a) -> Call {
    return [dy = a.in(pooled), dx = a.out_images(images)](Backend& b) { b.adaptive_average_pool_backward(dy, dx); };
  });
}

struct Places {
  std::vector<std::int32_t> expert, position, slots;
};

struct Routing {
  std::int64_t tokens, experts, width;
  std::int64_t capacity() const { return tokens / experts; }
  std::string name() const {
    return std::to_string(tokens) + "_to_" + std::to_string(experts) + (width == 0 ? "" : "x" + std::to_string(width));
  }
  /// Token i goes to expert i mod experts, so that every slot is taken.
  Places places() const {
    Places p;
    p.slots.resize(static_cast<std::size_t>(tokens));
    for (std::int64_t i = 0; i < tokens; ++i) {
      p.expert.push_back(static_cast<std::int32_t>(i % experts));
      p.position.push_back(static_cast<std::int32_t>(i / experts));
      p.slots[static_cast<std::size_t>(i % experts * capacity() + i / experts)] = static_cast<std::int32_t>(i);
    }
    return p;
  }
};

void register_router(Suite& suite, const Routing& r) {
  const Shape logits{r.tokens, r.experts}, tokens{r.tokens}, experts{r.experts};
  add_kernel(suite, "route_top1/" + r.name(), [=](Arrays& a) -> Call {
    const Routes routes{a.out(logits),
                        a.out(tokens, DType::i32),
                        a.out(tokens),
                        a.out(tokens, DType::i32),
                        a.out({r.experts, r.capacity()}, DType::i32),
                        a.out(experts, DType::i32),
                        a.out(experts),
                        a.out({})};
    return [x = a.normal(logits), routes](Backend& b) { b.route_top1(x, routes); };
  });
  add_kernel(suite, "route_top1_backward/" + r.name(), [=](Arrays& a) -> Call {
    return [p = a.in(logits), expert = a.indices(tokens, r.experts), counts = a.indices(experts, r.tokens),
            dgate = a.in(tokens), dbalance = a.in({}),
            dlogits = a.out(logits)](Backend& b) { b.route_top1_backward(p, expert, counts, dgate, dbalance, dlogits); };
  });
}

void register_routed_rows(Suite& suite, const Routing& r) {
  const Shape rows{r.tokens, r.width}, slotted{r.experts, r.capacity(), r.width}, tokens{r.tokens},
      places{r.experts, r.capacity()};
  add_kernel(suite, "route_dispatch/" + r.name(), [=](Arrays& a) -> Call {
    return [x = a.in(rows), slots = a.numbers(places, r.places().slots), y = a.out(slotted)](Backend& b) {
      b.route_dispatch(x, slots, y);
    };
  });
  add_kernel(suite, "route_dispatch_backward/" + r.name(), [=](Arrays& a) -> Call {
    return [dy = a.in(slotted), expert = a.numbers(tokens, r.places().expert),
            position = a.numbers(tokens, r.places().position),
            dx = a.out(rows)](Backend& b) { b.route_dispatch_backward(dy, expert, position, dx); };
  });
  add_kernel(suite, "route_combine/" + r.name(), [=](Arrays& a) -> Call {
    return
        [x = a.in(slotted), expert = a.numbers(tokens, r.places().expert), position = a.numbers(tokens, r.places().position),
         gate = a.in(tokens), y = a.out(rows)](Backend& b) { b.route_combine(x, expert, position, gate, y); };
  });
  add_kernel(suite, "route_combine_backward/" + r.name(), [=](Arrays& a) -> Call {
    return
        [x = a.in(slotted), slots = a.numbers(places, r.places().slots), expert = a.numbers(tokens, r.places().expert),
         position = a.numbers(tokens, r.places().position), gate = a.in(tokens), dy = a.in(rows), dx = a.out(slotted),
         dgate = a.out(tokens)](Backend& b) { b.route_combine_backward(x, slots, expert, position, gate, dy, dx, dgate); };
  });
}

void register_mix(Suite& suite, std::int64_t rows, std::int64_t width, std::int64_t experts) {
  const Shape shape{rows, width}, gates_shape{rows, experts};
  const std::string name = std::to_string(rows) + "x" + std::to_string(width) + "_of_" + std::to_string(experts);
  const auto all = [=](const auto& make) {
    std::vector<std::invoke_result_t<decltype(make)>> arrays;
    for (std::int64_t k = 0; k < experts; ++k) arrays.push_back(make());
    return arrays;
  };
  add_kernel(suite, "mix/" + name, [=](Arrays& a) -> Call {
    return [gates = a.in(gates_shape), x = all([&] { return a.in(shape); }), y = a.out(shape)](Backend& b) {
      b.mix(gates, x, y);
    };
  });
  add_kernel(suite, "mix_backward/" + name, [=](Arrays& a) -> Call {
    return [gates = a.in(gates_shape), x = all([&] { return a.in(shape); }), dy = a.in(shape), dgates = a.out(gates_shape),
            dx = all([&] { return a.out(shape); })](Backend& b) { b.mix_backward(gates, x, dy, dgates, dx); };
  });
}

}  // namespace

void register_layer_kernels(Suite& suite) {
  for (const VggLayer& layer : vgg_layers()) {
    register_batch_norm(suite, layer);
    register_max_pool(suite, layer.name(), layer.shape(), layer.halved(), {2, 2, 2});
  }
  register_max_pool(suite, "c16_15x15_by_3x3_overlapping", {128, 16, 15, 15}, {128, 16, 7, 7}, {3, 3, 2});
  for (const VggLayer& layer : {VggLayer{64, 2}, {64, 4}, {64, 8}})
    register_average_pool(suite, layer.name() + "_to_1x1", layer.shape(), {128, layer.channels, 1, 1});
  register_average_pool(suite, "c4_128x128_to_1x1", {16, 4, 128, 128}, {16, 4, 1, 1});
}

void register_routing_kernels(Suite& suite) {
  for (const std::int64_t experts : {2, 8, 64}) register_router(suite, {4096, experts, 0});
  for (const Routing& r : {Routing{512, 8, 512}, {4096, 64, 512}, {4096, 8, 768}}) register_routed_rows(suite, r);
  for (const std::int64_t width : {4, 16, 64}) register_mix(suite, 128, width, 2);
  register_mix(suite, 512, 512, 8);
}

}  // namespace alma::bench
