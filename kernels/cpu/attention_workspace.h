#pragma once
// Scratch memory of the attention bodies, one a thread: the same code measures and carves it.
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

struct AttentionWorkspace {
  float* queries;             // [width, block]: a block of queries, transposed, times scale
  float* scores;              // [block keys, block queries]
  float* out;                 // [block, value_width]
  float *top, *sum, *factor;  // [block]

  AttentionWorkspace(Carver& c, int64_t width, int64_t value_width)
      : queries(c.take(width * kAttentionBlock)),
        scores(c.take(kAttentionBlock * kAttentionBlock)),
        out(c.take(kAttentionBlock * value_width)),
        top(c.take(kAttentionBlock)),
        sum(c.take(kAttentionBlock)),
        factor(c.take(kAttentionBlock)) {}
  static size_t bytes(int64_t width, int64_t value_width) {
    Carver c(nullptr);
    AttentionWorkspace(c, width, value_width);
    return c.bytes();
  }
};

struct AttentionBackwardWorkspace {
  float *queries, *d_outs;   // [width, block], [value_width, block]: transposed
  float *scores, *d_scores;  // [block keys, block queries]
  float* dq;                 // [block, width]
  float *dk, *dv;            // [sequence, width], [sequence, value_width]
  float *lse, *delta;        // [block]

  AttentionBackwardWorkspace(Carver& c, int64_t width, int64_t value_width, int64_t sequence)
      : queries(c.take(width * kAttentionBlock)),
        d_outs(c.take(value_width * kAttentionBlock)),
        scores(c.take(kAttentionBlock * kAttentionBlock)),
        d_scores(c.take(kAttentionBlock * kAttentionBlock)),
        dq(c.take(kAttentionBlock * width)),
        dk(c.take(sequence * width)),
        dv(c.take(sequence * value_width)),
        lse(c.take(kAttentionBlock)),
        delta(c.take(kAttentionBlock)) {}
  static size_t bytes(int64_t width, int64_t value_width, int64_t sequence) {
    Carver c(nullptr);
    AttentionBackwardWorkspace(c, width, value_width, sequence);
    return c.bytes();
  }
};

}  // namespace birkhoff::cpu
