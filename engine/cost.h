#pragma once

namespace alma {

__extension__ using Count = unsigned __int128;

/// What an op costs. Ops report it where they run; nothing else computes costs.
struct Cost {
  Count macs =
      0;  // the paper's convention: multiply-adds of the forward pass (batch-norm 2 per element; bias, ReLU, softmax 0)
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
