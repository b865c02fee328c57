#pragma once
#include "engine/tensor.h"

namespace alma {

/// softmax over the last dimension.
Tensor softmax(const Tensor& x);

/// The number of rows that a loss is the mean over. A batch that is cut into parts, such as micro-batches or those of
/// several processes, has the losses and gradients of its parts added up: each is given the rows of the whole batch.
struct MeanOver {
  std::int64_t rows = 0;  // 0: its own
};

/// loss = sum_i -log softmax(logits)_i[label_i] / over.rows.   logits [N, C] f32 or f64, labels [N] i32; N >= 1, or with
/// over.rows N >= 0.   Returns a scalar. The gradient for the logits is made in the same pass. A label outside [0, C) gives
/// NaN. Throws Error "[softmax_cross_entropy] labels must be [64], got i32 [63]", and for fewer over.rows than N.
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels, MeanOver over = {});

/// The loss of each of a stack of members: logits [members * N, C], labels [members * N], the rows of one member after those
/// of another; each loss is a mean over over.rows. Returns [members]; Tensor::backward_of_sum() gives each member the
/// gradient of its own loss.
Tensor softmax_cross_entropies(const Tensor& logits, const Tensor& labels, std::int64_t members, MeanOver over = {});

/// The sum of the same losses, and the number of rows whose argmax is their label, without gradient. They are written into
/// two scalars on the device, `loss_sum` (of the logits' dtype) and `hits` (i32), so that an evaluation waits for the device
/// only once, at its end.
void evaluate_cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss_sum, const Tensor& hits);

}  // namespace alma
