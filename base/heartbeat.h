#pragma once
// What long work calls as it gets on, often enough for a watchdog to see that it is no hang.
#include <functional>

namespace birkhoff {

using Heartbeat = std::function<void()>;  // empty: nobody listens

}  // namespace birkhoff
