#pragma once
// SIGTERM and SIGUSR1 as a wish: the run saves behind its current step and ends with exit code 75.
// A second signal ends the process at once.
//
// Launchers forward what batch systems send as well: the same wish may arrive twice, within
// moments. So a second one counts from kStopDebounce on.
#include <chrono>

namespace birkhoff {

inline constexpr std::chrono::milliseconds kStopDebounce{200};

// Once, by the main thread before it makes others.
void catch_stop_signals();
// Thread-safe.
bool stop_requested();

}  // namespace birkhoff
