#pragma once
// The harness runs the best bodies of this machine. on_other_instruction_sets() runs the others:
// AVX-512 without bf16 instructions, AVX2, and down to one lane without FMA. Their vectors and
// register tiles differ.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdint>

#include "kernels/features.h"

namespace birkhoff::testing {

template <class F>
void on_other_instruction_sets(F&& f) {
  pretend_features(Features());
#ifdef BIRKHOFF_FEW_TARGETS  // see kernels/cpu/targets.h
  const int64_t targets[] = {HWY_SCALAR, HWY_AVX2};
#else
  const int64_t targets[] = {HWY_SCALAR, HWY_AVX2, HWY_AVX3};
#endif
  for (const int64_t target : targets) {
    if (!(target & (hwy::SupportedTargets() | HWY_SCALAR))) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    f();
    hwy::SetSupportedTargetsForTest(0);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  pretend_features({});
}

}  // namespace birkhoff::testing
