// What scripts/parity.sh asks: runs one case (tests/support/parity.h) and writes what came out.
//
//   parity run CASE RESULT [f32 | bf16 | f64]      safetensors files
//   parity residuals                               the values of model.residual there are
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tests/support/parity.h"

int main(int argc, char** argv) {
  using namespace birkhoff;
  const std::vector<std::string> args(argv + 1, argv + argc);
  try {
    if (args == std::vector<std::string>{"residuals"}) {
      for (const std::string& name : testing::residuals_available()) std::puts(name.c_str());
      return 0;
    }
    const std::map<std::string, DType> dtypes = {
        {"f32", DType::f32}, {"bf16", DType::bf16}, {"f64", DType::f64}};
    const auto dtype = dtypes.find(args.size() == 4 ? args[3] : "f32");
    if (args.size() < 3 || args.size() > 4 || args[0] != "run" || dtype == dtypes.end())
      throw ConfigError("usage: parity run CASE RESULT [f32 | bf16 | f64], or: parity residuals");
    testing::write_tensors(args[2],
                           testing::run_parity(testing::read_tensors(args[1]), dtype->second));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "parity: %s\n", e.what());
    return 1;
  }
}
