#pragma once

namespace alma {

__extension__ using Count = unsigned __int128;

/// The cost of an op. Only ops compute costs, and report them when they run.
struct Cost {
  /// Multiply-adds of the forward pass, counted as in the paper: batch-norm 2 per element; bias, ReLU and softmax 0.
  Count macs = 0;
  Count flops = 0;  // forward and backward, 2 per multiply-add, 1 per element of element-wise work
  Count bytes = 0;  // every distinct input once and every output once

  Cost& operator+=(const Cost& other) {
    macs += other.macs;
    flops += other.flops;
    bytes += other.bytes;
    return *this;
  }
  friend Cost operator/(const Cost& a, Count n) { return {a.macs / n, a.flops / n, a.bytes / n}; }
  friend Cost operator-(const Cost& a, const Cost& b) { return {a.macs - b.macs, a.flops - b.flops, a.bytes - b.bytes}; }
};

}  // namespace alma
