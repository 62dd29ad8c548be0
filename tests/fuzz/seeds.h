#pragma once
// Inputs that every target accepts, made by the tree's own writers: where the fuzzer starts from.
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff::fuzz {

std::vector<std::string> seeds(std::string_view target);

}  // namespace birkhoff::fuzz
