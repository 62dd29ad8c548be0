#pragma once
namespace CLI {
class App;
}

namespace birkhoff {

// birkhoff verify CKPT: reads a whole checkpoint against its hashes. Throws CheckpointError (exit
// code 4) at the first byte that is not as it was written.
void add_verify(CLI::App& app);

}  // namespace birkhoff
