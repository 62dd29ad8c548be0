#include "tests/cuda/emulator/board.h"

#include <algorithm>
#include <string_view>

namespace birkhoff::emulator {

Board& board() {
  static Board the_board;
  return the_board;
}

cudaError_t failing(cudaError_t status, const char* call) {
  constexpr std::string_view kNotCounted[] = {"cudaFree",          "cudaFreeHost",
                                              "cudaStreamDestroy", "cudaEventDestroy",
                                              "cudaGetLastError",  "cudaDeviceSynchronize"};
  const auto* const end = std::end(kNotCounted);
  if (std::find(std::begin(kNotCounted), end, call) != end) return status;
  if (board().failing == 0 || --board().failing > 0) return status;
  board().failed = call;
  return board().status;
}

}  // namespace birkhoff::emulator
