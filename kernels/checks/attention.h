#pragma once
#include "kernels/checks/arrays.h"

namespace alma::check {

struct AttentionSizes {
  std::int64_t sequences, heads, t, d;
};

/// qkv [sequences * t, 3 * heads * d] and the arrays that go with it.
inline AttentionSizes attention(const char* op, const In& qkv, std::int64_t sequences, std::int64_t heads,
                                const char* rows_name, const In& rows) {
  rank(op, "qkv", qkv, 2);
  if (sequences < 1 || heads < 1 || qkv.shape[0] % sequences != 0 || qkv.shape[1] == 0 || qkv.shape[1] % (3 * heads) != 0)
    fail("[", op, "] qkv ", qkv.shape, " is not [sequences * t, 3 * heads * d] with ", sequences, " sequences and ", heads,
         " heads");
  const AttentionSizes s{sequences, heads, qkv.shape[0] / sequences, qkv.shape[1] / (3 * heads)};
  array(op, rows_name, rows, qkv.dtype, {qkv.shape[0], s.heads * s.d});
  return s;
}

inline Checked<AttentionSizes> causal_attention(Backend& backend, const In& qkv, std::int64_t sequences, std::int64_t heads,
                                                const Out& y, const Out& log_sums) {
  const char* op = "causal_attention";
  const AttentionSizes s = attention(op, qkv, sequences, heads, "y", y);
  if (log_sums) array(op, "log_sums", log_sums, qkv.dtype, {sequences, heads, s.t});
  return {s, {backend, op, qkv, y, log_sums}};
}

inline Checked<AttentionSizes> causal_attention_backward(Backend& backend, const In& qkv, const In& y, const In& log_sums,
                                                         const In& dy, std::int64_t sequences, std::int64_t heads,
                                                         const Out& dqkv) {
  const char* op = "causal_attention_backward";
  const AttentionSizes s = attention(op, qkv, sequences, heads, "y", y);
  array(op, "log_sums", log_sums, qkv.dtype, {sequences, heads, s.t});
  array(op, "dy", dy, qkv.dtype, y.shape);
  array(op, "dqkv", dqkv, qkv.dtype, qkv.shape);
  return {s, {backend, op, qkv, y, log_sums, dy, dqkv}};
}

}  // namespace alma::check
