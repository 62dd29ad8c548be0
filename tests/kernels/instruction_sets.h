#pragma once
// The harness runs the best instruction set of this machine; here are the others, down to one lane
// and no FMA, whose vectors and register tiles differ.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdint>

namespace birkhoff::testing {

template <class F>
void on_other_instruction_sets(F&& f) {
  for (const int64_t target : {int64_t(HWY_SCALAR), int64_t(HWY_AVX2)}) {
    if (!(target & (hwy::SupportedTargets() | HWY_SCALAR))) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    f();
    hwy::SetSupportedTargetsForTest(0);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace birkhoff::testing
