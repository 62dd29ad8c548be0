#pragma once
// fmt as bundled with spdlog, since g++ 12 has no <format>.
#include <spdlog/fmt/fmt.h>
