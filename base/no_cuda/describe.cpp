#include "base/describe_cuda.h"

namespace birkhoff {

std::string describe_cuda() { return "cuda: built without CUDA"; }

}  // namespace birkhoff
