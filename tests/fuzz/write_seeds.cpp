// write_seeds FOLDER: writes the seeds of each target to a folder of its name.
#include <cstdio>
#include <exception>

#include "base/files.h"
#include "base/format.h"
#include "tests/fuzz/seeds.h"
#include "tests/fuzz/targets.h"

int main(int argc, char** argv) try {
  using namespace birkhoff;
  if (argc != 2) throw std::invalid_argument("usage: write_seeds FOLDER");
  for (const fuzz::Target& target : fuzz::targets()) {
    const Path folder = Path(argv[1]) / target.name;
    make_directories(folder);
    int number = 0;
    for (const std::string& seed : fuzz::seeds(target.name))
      write_file(folder / fmt::format("seed-{}", number++), seed);
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "write_seeds: %s\n", e.what());
  return 1;
}
