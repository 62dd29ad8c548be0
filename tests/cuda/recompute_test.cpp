// Recomputation of a block of sublayers (arXiv 2512.24880, 4.3): mHC's operators run again from the
// block's first x and each sublayer's F, in other buffers, fused or not, for some of the tokens at
// a time. The results must be bitwise identical.
#include <optional>

#include "tests/cuda/hc_case.h"
#include "tests/cuda/mhc_case.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

// Bytes of everything that two sublayers write for some tokens: the outputs of both openings and
// both closings.
using Bits = std::vector<std::vector<std::byte>>;

struct Block {
  int64_t tokens, width;
  int n = 4;
};

// Tokens [first, first + count) of a block.
struct Part {
  int64_t first, count;
};

Tensor rows_of(const Tensor& t, const Part& part) {
  TensorSpec spec = t.spec;
  const size_t row = t.bytes.size() / size_t(spec.shape[0]);
  spec.shape[0] = part.count;
  Tensor rows(spec);
  std::copy_n(t.bytes.begin() + long(size_t(part.first) * row), rows.bytes.size(),
              rows.bytes.begin());
  return rows;
}

// mHC and HC differ only in how streams are opened.
struct Mhc {
  using Run = OpenRun;
  using Case = MhcCase;
  static constexpr auto open = cuda::mhc_open;
  static constexpr auto close_open = cuda::mhc_close_open;
};
struct Hc {
  using Run = HcOpenRun;
  using Case = HcCase;
  static constexpr auto open = cuda::hc_open;
  static constexpr auto close_open = cuda::hc_close_open;
};

// Two sublayers of a part, in separate buffers: open, close, open, close. The saved values of F are
// f and then g.
template <class R>
class TwoSublayers {
 public:
  TwoSublayers(const Block& of, const Part& part)
      : case_{.tokens = part.count, .width = of.width, .n = of.n},
        first_(case_),
        second_(case_),
        x_(rows_of(random_tensor(bf16s({of.tokens, of.n * of.width}), "block x"), part)),
        f_(rows_of(random_tensor(bf16s({of.tokens, of.width}), "block f"), part)),
        g_(rows_of(random_tensor(bf16s({of.tokens, of.width}), "block g"), part)),
        between_(bf16s({part.count, of.n * of.width})),
        y_(bf16s({part.count, of.n * of.width})) {
    first_.args.x = x_.data(), second_.args.x = between_.data();
  }
  void run(bool fused) const {
    R::open(first_.args, nullptr);
    if (fused) {
      R::close_open(closing(first_, x_, f_, between_), second_.args, nullptr);
    } else {
      cuda::mhc_close(closing(first_, x_, f_, between_), nullptr);
      R::open(second_.args, nullptr);
    }
    cuda::mhc_close(closing(second_, between_, g_, y_), nullptr);
  }
  Bits bits() const {
    Bits all = first_.bits();
    for (auto& bytes : second_.bits()) all.push_back(std::move(bytes));
    all.push_back(between_.tensor().bytes);
    all.push_back(y_.tensor().bytes);
    return all;
  }

 private:
  cuda::MhcCloseArgs closing(const typename R::Run& open, const OnDevice<bf16>& x,
                             const OnDevice<bf16>& f, const OnDevice<bf16>& y) const {
    return {.x = x.data(),
            .f = f.data(),
            .post = open.args.post,
            .res = open.args.res,
            .y = y.data(),
            .tokens = case_.tokens,
            .width = case_.width,
            .n = case_.n};
  }

  typename R::Case case_;
  typename R::Run first_, second_;
  OnDevice<bf16> x_, f_, g_, between_, y_;
};

void append(Bits& to, const Bits& part) {
  to.resize(part.size());
  for (size_t i = 0; i < part.size(); ++i)
    to[i].insert(to[i].end(), part[i].begin(), part[i].end());
}

template <class R>
Bits once(const Block& block) {
  const TwoSublayers<R> all(block, {0, block.tokens});
  all.run(false);
  return all.bits();
}

// Recomputes the parts, last one first, as a backward does, and fused, as a recomputation may be.
template <class R>
Bits again(const Block& block, const std::vector<Part>& parts) {
  std::vector<Bits> of(parts.size());
  for (size_t i = parts.size(); i-- > 0;) {
    const TwoSublayers<R> part(block, parts[i]);
    part.run(true);
    of[i] = part.bits();
  }
  Bits all;
  for (const Bits& bits : of) append(all, bits);
  return all;
}

template <class R>
void expect_same(const Block& block, const std::vector<Part>& parts,
                 void (*in_schedules)(const std::function<void()>&)) {
  SCOPED_TRACE(
      fmt::format("{}x{}x{} in {} parts", block.tokens, block.n, block.width, parts.size()));
  std::optional<Bits> first;
  in_schedules([&] {
    if (!first) first = once<R>(block);
    EXPECT_EQ(again<R>(block, parts), *first);
  });
}

// 19 tokens in parts whose ends do not coincide with those of tiles and blocks, and in one part.
template <class R>
void expect_same_in_parts() {
  for (const Block& block :
       {Block{19, 72}, Block{19, 264, 1}, Block{19, 40, 2}, Block{19, 24, 8}}) {
    expect_same<R>(block, {{0, 19}}, in_schedules_of_bits);
    expect_same<R>(block, {{0, 5}, {5, 13}, {18, 1}}, in_schedules_of_bits);
  }
  for (const int64_t width : {1280, 1920, 2560})
    expect_same<R>({9, width}, {{0, 7}, {7, 2}}, in_one_schedule);
}

TEST(CudaRecompute, OfMhcHasTheBitsOfTheFirstTime) { expect_same_in_parts<Mhc>(); }
TEST(CudaRecompute, OfHcHasTheBitsOfTheFirstTime) { expect_same_in_parts<Hc>(); }

}  // namespace
}  // namespace birkhoff::testing
