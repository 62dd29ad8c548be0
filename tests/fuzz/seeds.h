#pragma once
// Inputs that every target accepts, made by the project's own writers: the fuzzer starts from them.
#include <string>
#include <string_view>
#include <vector>

namespace birkhoff::fuzz {

std::vector<std::string> seeds(std::string_view target);

}  // namespace birkhoff::fuzz
