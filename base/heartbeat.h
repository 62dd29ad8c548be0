#pragma once
// A callback that long work calls as it progresses, often enough for a watchdog not to take it for
// a hang.
#include <functional>

namespace birkhoff {

using Heartbeat = std::function<void()>;  // empty: nobody listens

}  // namespace birkhoff
