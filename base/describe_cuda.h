#pragma once
// What this build can do with CUDA on this machine, for people: a line each, "what: found or why
// not", without a new line at the end. A build without CUDA says so. Loads the libraries that it
// tells of; never throws for one that is missing. base/cuda/ has the body, base/no_cuda/ stands in.
#include <string>

namespace birkhoff {

std::string describe_cuda();

}  // namespace birkhoff
