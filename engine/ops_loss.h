#pragma once
#include "engine/mean_over.h"
#include "engine/tensor.h"

namespace alma {

/// softmax over the last dimension.
Tensor softmax(const Tensor& x);

/// loss = sum_i -log softmax(logits)_i[label_i] / over.rows.   logits [N, C] f32 or f64, labels [N] i32; N >= 1, or with
/// over.rows N >= 0.   Returns a scalar. The gradient for the logits is made in the same pass. A row with label kNoLabel
/// adds nothing; any other label outside [0, C) gives NaN. Throws Error "[softmax_cross_entropy] labels must be [64], got
/// i32 [63]", and for fewer over.rows than N.
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels, MeanOver over = {});

/// The loss of each of a stack of members: logits [members * N, C], labels [members * N], the rows of one member after those
/// of another; each loss is a mean over over.rows. Returns [members]; Tensor::backward_of_sum() gives each member the
/// gradient of its own loss.
Tensor softmax_cross_entropies(const Tensor& logits, const Tensor& labels, std::int64_t members, MeanOver over = {});

/// Logits that linear_cross_entropy() has in memory at a time: large enough for products at full speed.
inline constexpr std::int64_t kMostLogits = std::int64_t{1} << 25;

/// The loss of a last layer without bias: softmax_cross_entropy(x weight^T, labels, over) for x [N, d], weight [C, d],
/// labels [N]. Neither the logits nor their gradient are ever in memory whole: it takes as many rows at a time as have
/// `most_logits` logits, at least one, and makes the gradients of x and weight in the same pass, where they are needed. That
/// is 56% of the multiply-adds of a small language model, and most of its memory otherwise.
Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& labels, MeanOver over = {},
                            std::int64_t most_logits = kMostLogits);

/// The sum of the same losses as softmax_cross_entropy(), and the number of rows whose argmax is their label, without
/// gradient. They are written into two scalars on the device, `loss_sum` (of the logits' dtype) and `hits` (i32), so that an
/// evaluation waits for the device only once, at its end.
void evaluate_cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss_sum, const Tensor& hits);

}  // namespace alma
