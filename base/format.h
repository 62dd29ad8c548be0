#pragma once
// fmt, as spdlog brings it: g++ 12 has no <format>.
#include <spdlog/fmt/fmt.h>
