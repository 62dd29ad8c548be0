#pragma once
// y = x
#include "kernels/operator.h"
namespace birkhoff {
extern const Operator kIdentity;
}
