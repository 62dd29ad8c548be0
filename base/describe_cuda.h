#pragma once
// Describes, for people, what this build can do with CUDA on this machine: one line per item,
// "item: what was found, or why not", without a final newline. A build without CUDA says so. Loads
// the libraries it reports; a missing one never throws. Implemented in base/cuda/; base/no_cuda/
// stands in for it in a build without CUDA.
#include <string>

namespace birkhoff {

std::string describe_cuda();

}  // namespace birkhoff
