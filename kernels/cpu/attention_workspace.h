#pragma once
// Scratch memory of the attention bodies, one a thread: the same code measures and carves it.
#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace birkhoff::cpu {

// Queries and keys of a block: 16 KB of scores, so that two such blocks stay in a 48 KB L1.
inline constexpr int64_t kAttentionBlock = 64;

class Carver {
 public:
  explicit Carver(float* memory) : memory_(memory) {}
  float* take(int64_t floats) {
    float* part = memory_ ? memory_ + used_ : nullptr;
    used_ += (floats + 15) / 16 * 16;  // 64-byte lines
    return part;
  }
  size_t bytes() const { return size_t(used_) * sizeof(float); }

 private:
  float* memory_;
  int64_t used_ = 0;
};

// A head of keys and values. Products take floats: rows of bf16 are widened first, a block at a
// time.
struct HeadShape {
  bool bf16;
  int64_t width, value_width;

  // Floats of a widened block of rows; none where rows are floats already.
  int64_t widened(int64_t columns) const { return bf16 ? kAttentionBlock * columns : 0; }
};

struct AttentionWorkspace {
  float* wide;                // of bf16, a block of queries, keys or values in turn
  float* queries;             // [width, block]: a block of queries, transposed, times scale
  float* scores;              // [block keys, block queries]
  float* out;                 // [block, value_width]
  float *top, *sum, *factor;  // [block]

  AttentionWorkspace(Carver& c, const HeadShape& h)
      : wide(c.take(h.widened(std::max(h.width, h.value_width)))),
        queries(c.take(h.width * kAttentionBlock)),
        scores(c.take(kAttentionBlock * kAttentionBlock)),
        out(c.take(kAttentionBlock * h.value_width)),
        top(c.take(kAttentionBlock)),
        sum(c.take(kAttentionBlock)),
        factor(c.take(kAttentionBlock)) {}
  static size_t bytes(const HeadShape& h) {
    Carver c(nullptr);
    AttentionWorkspace(c, h);
    return c.bytes();
  }
};

struct AttentionBackwardWorkspace {
  float *wide_q, *wide_d_o;  // of bf16, a block of queries
  float* wide;               // and one of keys or values in turn
  float *queries, *d_outs;   // [width, block], [value_width, block]: transposed
  float *scores, *d_scores;  // [block keys, block queries]
  float* dq;                 // [block, width]
  float *dk, *dv;            // [sequence, width], [sequence, value_width]
  float *lse, *delta;        // [block]

  AttentionBackwardWorkspace(Carver& c, const HeadShape& h, int64_t sequence)
      : wide_q(c.take(h.widened(h.width))),
        wide_d_o(c.take(h.widened(h.value_width))),
        wide(c.take(h.widened(std::max(h.width, h.value_width)))),
        queries(c.take(h.width * kAttentionBlock)),
        d_outs(c.take(h.value_width * kAttentionBlock)),
        scores(c.take(kAttentionBlock * kAttentionBlock)),
        d_scores(c.take(kAttentionBlock * kAttentionBlock)),
        dq(c.take(kAttentionBlock * h.width)),
        dk(c.take(sequence * h.width)),
        dv(c.take(sequence * h.value_width)),
        lse(c.take(kAttentionBlock)),
        delta(c.take(kAttentionBlock)) {}
  static size_t bytes(const HeadShape& h, int64_t sequence) {
    Carver c(nullptr);
    AttentionBackwardWorkspace(c, h, sequence);
    return c.bytes();
  }
};

}  // namespace birkhoff::cpu
