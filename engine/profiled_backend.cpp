#include "engine/profiled_backend.h"

#include <array>
#include <vector>

namespace alma {

namespace {

const char* name_of(UnaryOp op) {
  switch (op) {
    case UnaryOp::relu: return "relu";
    case UnaryOp::exp: return "exp";
    case UnaryOp::log: return "log";
    case UnaryOp::sqrt: return "sqrt";
  }
  return "unary";
}

const char* name_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::add: return "add";
    case BinaryOp::subtract: return "subtract";
    case BinaryOp::multiply: return "multiply";
    case BinaryOp::divide: return "divide";
    case BinaryOp::relu_gradient: return "relu_gradient";
  }
  return "binary";
}

}  // namespace

template <class Call>
void ProfiledBackend::record(const char* name, const char* detail, std::span<const In> arrays, Count bytes, Call&& call) {
  const std::int64_t start = lane_.now();
  call();
  backend_->synchronize();
  lane_.primitive(name, detail, start, arrays, bytes);
}

template <class Call>
void ProfiledBackend::record(const char* name, std::initializer_list<In> arrays, Call&& call) {
  record(name, "", std::span<const In>(arrays.begin(), arrays.size()), 0, call);
}

// Raw memory: the one array is its bytes. No op reports a cost for most of these, so what they move is counted here.
template <class Call>
void ProfiledBackend::record_bytes(const char* name, std::size_t bytes, Count moved, Call&& call) {
  const In array{nullptr, DType::u8, {static_cast<std::int64_t>(bytes)}};
  record(name, "", std::span<const In>(&array, 1), moved, call);
}

// A model has many tensors; the one array is all their elements.
template <class Call>
void ProfiledBackend::record_slots(const char* name, std::span<const OptimizerSlot> slots, Call&& call) {
  std::int64_t elements = 0;
  for (const OptimizerSlot& slot : slots) elements += slot.weight.shape.count();
  record(name, {In{nullptr, DType::f32, {elements}}}, call);
}

BackendInfo ProfiledBackend::info() const { return backend_->info(); }

void* ProfiledBackend::allocate(std::size_t bytes) {
  void* memory = nullptr;
  record_bytes("allocate", bytes, 0, [&] { memory = backend_->allocate(bytes); });
  return memory;
}

// Contexts let their memory go after everything has run: neither waiting nor an error has a place here.
void ProfiledBackend::deallocate(void* memory) noexcept {
  const std::int64_t start = lane_.now();
  backend_->deallocate(memory);
  lane_.primitive("deallocate", "", start, {});
}

void ProfiledBackend::upload(const void* host, void* device, std::size_t bytes) {
  record_bytes("upload", bytes, bytes, [&] { backend_->upload(host, device, bytes); });
}

void ProfiledBackend::download(const void* device, void* host, std::size_t bytes) {
  record_bytes("download", bytes, bytes, [&] { backend_->download(device, host, bytes); });
}

void ProfiledBackend::copy(const void* source, std::size_t source_pitch, void* target, std::size_t target_pitch,
                           std::size_t width, std::size_t rows) {
  record_bytes("copy", width * rows, 2 * static_cast<Count>(width * rows),
               [&] { backend_->copy(source, source_pitch, target, target_pitch, width, rows); });
}

void ProfiledBackend::fill(Out y, double value) {
  const In array = y;
  record("fill", "", std::span<const In>(&array, 1), static_cast<Count>(y.shape.count()) * size_of(y.dtype),
         [&] { backend_->fill(y, value); });
}

void ProfiledBackend::synchronize() {
  record("synchronize", {}, [] {});
}

void ProfiledBackend::begin_range(const char* name) { backend_->begin_range(name); }

void ProfiledBackend::end_range() noexcept { backend_->end_range(); }

void ProfiledBackend::cast(const In& x, const Out& y) {
  record("cast", {x, y}, [&] { backend_->cast(x, y); });
}

void ProfiledBackend::matmul(const In& a, bool transpose_a, const In& b, bool transpose_b, const Out& c,
                             const Epilogue& epilogue, Math math) {
  const char* detail = transpose_a ? (transpose_b ? "a^T b^T" : "a^T b") : transpose_b ? "a b^T" : "a b";
  record("matmul", detail, std::array<In, 4>{a, b, epilogue.bias, c}, 0,
         [&] { backend_->matmul(a, transpose_a, b, transpose_b, c, epilogue, math); });
}

std::size_t ProfiledBackend::relu_mask_bytes(const In& a, bool transpose_a, const In& b, bool transpose_b) {
  return backend_->relu_mask_bytes(a, transpose_a, b, transpose_b);
}

std::int64_t ProfiledBackend::most_image_outputs() const { return backend_->most_image_outputs(); }

void ProfiledBackend::matmul_images(const ImageRows& x, const In& w, const Out& y, const Epilogue& epilogue) {
  record("matmul_images", {x.indices, w, epilogue.bias, y}, [&] { backend_->matmul_images(x, w, y, epilogue); });
}

void ProfiledBackend::matmul_images_gradient(const In& dy, const ImageRows& x, const Out& dw) {
  record("matmul_images_gradient", {dy, x.indices, dw}, [&] { backend_->matmul_images_gradient(dy, x, dw); });
}

void ProfiledBackend::bias_relu_backward(const In& dy, const In& y, const Out& dz, const Out& dbias) {
  record("bias_relu_backward", {dy, y, dz, dbias}, [&] { backend_->bias_relu_backward(dy, y, dz, dbias); });
}

void ProfiledBackend::convert_layout(const In& x, const Out& y) {
  record("convert_layout", {x, y}, [&] { backend_->convert_layout(x, y); });
}

void ProfiledBackend::conv2d(const In& x, const In& w, const In& bias, const ConvGeometry& geometry, const Out& y,
                             Math math) {
  record("conv2d", {x, w, y}, [&] { backend_->conv2d(x, w, bias, geometry, y, math); });
}

void ProfiledBackend::conv2d_data_gradient(const In& dy, const In& w, const ConvGeometry& geometry, const Out& dx,
                                           Math math) {
  record("conv2d_data_gradient", {dy, w, dx}, [&] { backend_->conv2d_data_gradient(dy, w, geometry, dx, math); });
}

void ProfiledBackend::conv2d_weight_gradient(const In& x, const In& dy, const ConvGeometry& geometry, const Out& dw,
                                             const Out& dbias, Math math) {
  record("conv2d_weight_gradient", {x, dy, dw}, [&] { backend_->conv2d_weight_gradient(x, dy, geometry, dw, dbias, math); });
}

void ProfiledBackend::unary(UnaryOp op, const In& x, const Out& y) {
  record(name_of(op), {x, y}, [&] { backend_->unary(op, x, y); });
}

void ProfiledBackend::binary(BinaryOp op, const In& a, const In& b, const Out& y) {
  record(name_of(op), {a, b, y}, [&] { backend_->binary(op, a, b, y); });
}

void ProfiledBackend::affine(const In& x, double scale, double shift, const Out& y) {
  record("affine", {x, y}, [&] { backend_->affine(x, scale, shift, y); });
}

void ProfiledBackend::reduce_sum(const In& x, const Out& y) {
  record("reduce_sum", {x, y}, [&] { backend_->reduce_sum(x, y); });
}

void ProfiledBackend::argmax(const In& x, const Out& y) {
  record("argmax", {x, y}, [&] { backend_->argmax(x, y); });
}

void ProfiledBackend::softmax(const In& x, const Out& y) {
  record("softmax", {x, y}, [&] { backend_->softmax(x, y); });
}

void ProfiledBackend::softmax_backward(const In& y, const In& dy, const Out& dx) {
  record("softmax_backward", {y, dy, dx}, [&] { backend_->softmax_backward(y, dy, dx); });
}

void ProfiledBackend::softmax_cross_entropy(const In& logits, const In& labels, double scale, const Out& grad,
                                            const Out& loss, const Out& hits) {
  record("softmax_cross_entropy", {logits, labels, grad, loss, hits},
         [&] { backend_->softmax_cross_entropy(logits, labels, scale, grad, loss, hits); });
}

void ProfiledBackend::causal_softmax(const In& x, double scale, const Out& y) {
  record("causal_softmax", {x, y}, [&] { backend_->causal_softmax(x, scale, y); });
}

void ProfiledBackend::causal_softmax_backward(const In& y, const In& dy, double scale, const Out& dx) {
  record("causal_softmax_backward", {y, dy, dx}, [&] { backend_->causal_softmax_backward(y, dy, scale, dx); });
}

void ProfiledBackend::dropout(const In& x, double probability, const RandomPlace& place, const Out& y) {
  record("dropout", {x, y}, [&] { backend_->dropout(x, probability, place, y); });
}

void ProfiledBackend::route_top1(const In& logits, const Routes& routes) {
  record("route_top1", {logits, routes.probabilities, routes.slots}, [&] { backend_->route_top1(logits, routes); });
}

void ProfiledBackend::route_top1_backward(const In& probabilities, const In& expert, const In& counts, const In& dgate,
                                          const In& dbalance, const Out& dlogits) {
  record("route_top1_backward", {probabilities, expert, counts, dgate, dbalance, dlogits},
         [&] { backend_->route_top1_backward(probabilities, expert, counts, dgate, dbalance, dlogits); });
}

void ProfiledBackend::route_dispatch(const In& x, const In& slots, const Out& y) {
  record("route_dispatch", {x, slots, y}, [&] { backend_->route_dispatch(x, slots, y); });
}

void ProfiledBackend::route_dispatch_backward(const In& dy, const In& expert, const In& position, const Out& dx) {
  record("route_dispatch_backward", {dy, expert, position, dx},
         [&] { backend_->route_dispatch_backward(dy, expert, position, dx); });
}

void ProfiledBackend::route_combine(const In& x, const In& expert, const In& position, const In& gate, const Out& y) {
  record("route_combine", {x, expert, position, gate, y}, [&] { backend_->route_combine(x, expert, position, gate, y); });
}

void ProfiledBackend::route_combine_backward(const In& x, const In& slots, const In& expert, const In& position,
                                             const In& gate, const In& dy, const Out& dx, const Out& dgate) {
  record("route_combine_backward", {x, slots, expert, position, gate, dy, dx, dgate},
         [&] { backend_->route_combine_backward(x, slots, expert, position, gate, dy, dx, dgate); });
}

void ProfiledBackend::mix(const In& gates, std::span<const In> experts, const Out& y) {
  std::vector<In> arrays{gates};
  arrays.insert(arrays.end(), experts.begin(), experts.end());
  arrays.push_back(y);
  record("mix", "", arrays, 0, [&] { backend_->mix(gates, experts, y); });
}

void ProfiledBackend::mix_backward(const In& gates, std::span<const In> experts, const In& dy, const Out& dgates,
                                   std::span<const Out> dexperts) {
  std::vector<In> arrays{gates};
  arrays.insert(arrays.end(), experts.begin(), experts.end());
  arrays.insert(arrays.end(), {dy, dgates});
  arrays.insert(arrays.end(), dexperts.begin(), dexperts.end());
  record("mix_backward", "", arrays, 0, [&] { backend_->mix_backward(gates, experts, dy, dgates, dexperts); });
}

void ProfiledBackend::layer_norm(const In& x, const In& gamma, const In& beta, double epsilon, const Out& y, const Out& mean,
                                 const Out& rstd) {
  record("layer_norm", {x, gamma, beta, y, mean, rstd},
         [&] { backend_->layer_norm(x, gamma, beta, epsilon, y, mean, rstd); });
}

void ProfiledBackend::layer_norm_backward(const In& x, const In& gamma, const In& mean, const In& rstd, const In& dy,
                                          const Out& dx, const Out& dgamma, const Out& dbeta) {
  record("layer_norm_backward", {x, gamma, mean, rstd, dy, dx, dgamma, dbeta},
         [&] { backend_->layer_norm_backward(x, gamma, mean, rstd, dy, dx, dgamma, dbeta); });
}

void ProfiledBackend::batch_norm(const In& x, const In& gamma, const In& beta, const BatchNormRule& rule,
                                 const Out& running_mean, const Out& running_var, const Out& y, const Out& mean,
                                 const Out& rstd) {
  record("batch_norm", {x, gamma, beta, running_mean, running_var, y, mean, rstd},
         [&] { backend_->batch_norm(x, gamma, beta, rule, running_mean, running_var, y, mean, rstd); });
}

void ProfiledBackend::batch_norm_inference(const In& x, const In& gamma, const In& beta, const In& running_mean,
                                           const In& running_var, double epsilon, bool relu, const Out& y) {
  record("batch_norm_inference", {x, gamma, beta, running_mean, running_var, y},
         [&] { backend_->batch_norm_inference(x, gamma, beta, running_mean, running_var, epsilon, relu, y); });
}

void ProfiledBackend::batch_norm_backward(const In& x, const In& gamma, const In& beta, const In& mean, const In& rstd,
                                          const In& dy, const Out& dx, const Out& dgamma, const Out& dbeta) {
  record("batch_norm_backward", {x, gamma, beta, mean, rstd, dy, dx, dgamma, dbeta},
         [&] { backend_->batch_norm_backward(x, gamma, beta, mean, rstd, dy, dx, dgamma, dbeta); });
}

void ProfiledBackend::max_pool(const In& x, const PoolWindow& window, const Out& y, const Out& place) {
  record("max_pool", {x, y, place}, [&] { backend_->max_pool(x, window, y, place); });
}

void ProfiledBackend::max_pool_backward(const In& dy, const In& place, const PoolWindow& window, const Out& dx) {
  record("max_pool_backward", {dy, place, dx}, [&] { backend_->max_pool_backward(dy, place, window, dx); });
}

void ProfiledBackend::adaptive_average_pool(const In& x, const Out& y) {
  record("adaptive_average_pool", {x, y}, [&] { backend_->adaptive_average_pool(x, y); });
}

void ProfiledBackend::adaptive_average_pool_backward(const In& dy, const Out& dx) {
  record("adaptive_average_pool_backward", {dy, dx}, [&] { backend_->adaptive_average_pool_backward(dy, dx); });
}

void ProfiledBackend::gather_images(const In& images, const In& labels, const In& indices, const PixelScale& pixels,
                                    const Out& x, const Out& y, const ImageAugmentation& augmentation) {
  record("gather_images", {images, labels, indices, x, y},
         [&] { backend_->gather_images(images, labels, indices, pixels, x, y, augmentation); });
}

void ProfiledBackend::gather_rows(const In& table, const In& indices, const Out& y) {
  record("gather_rows", {table, indices, y}, [&] { backend_->gather_rows(table, indices, y); });
}

void ProfiledBackend::scatter_add_rows(const In& dy, const In& indices, const Out& table) {
  record("scatter_add_rows", {dy, indices, table}, [&] { backend_->scatter_add_rows(dy, indices, table); });
}

void ProfiledBackend::gradient_norm(std::span<const In> gradients, const Out& norm) {
  record("gradient_norm", "", gradients, 0, [&] { backend_->gradient_norm(gradients, norm); });
}

void ProfiledBackend::optimize(std::span<const OptimizerSlot> slots, const OptimizerRule& rule, const StepState* state) {
  record_slots(alma::name_of(rule), slots, [&] { backend_->optimize(slots, rule, state); });
}

}  // namespace alma
