#include "kernels/cpu/routines.h"

#include "kernels/cpu/matmul.h"

namespace birkhoff::cpu {
namespace {

constexpr Routines kEveryMachine{
    .matmul_tile = every_machine::matmul_tile,
    .add_logits = every_machine::add_logits,
    .scaled_softmax = every_machine::scaled_softmax,
};

constexpr Routines kAvx512Bf16{
    .matmul_tile =
        [](const Product& p, const MatmulTile& tile, float* workspace) {
          if (p.of_bf16())
            avx512_bf16::matmul_tile(p, tile, reinterpret_cast<std::byte*>(workspace));
          else
            every_machine::matmul_tile(p, tile, workspace);
        },
    .add_logits = avx512_bf16::add_logits,
    .scaled_softmax = avx512_bf16::scaled_softmax,
    .bf16_products = avx512_bf16::products,
    .bf16_products_flops = int64_t(4) * 16 * avx512_bf16::kProductChains,
};

}  // namespace

const Routines& routines(const Features& features) {
  return features.avx512_bf16 ? kAvx512Bf16 : kEveryMachine;
}

}  // namespace birkhoff::cpu
