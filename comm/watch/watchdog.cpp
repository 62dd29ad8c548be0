#include "comm/watch/watchdog.h"

#include "comm/watch/hub.h"
#include "comm/watch/spoke.h"

namespace birkhoff {

Watchdog::Watchdog(WatchdogOptions options) {
  if (options.rank == 0)
    station_ = std::make_unique<Hub>(std::move(options));
  else
    station_ = std::make_unique<Spoke>(std::move(options));
  station_->start();
}

Watchdog::~Watchdog() { station_->stop(); }

void Watchdog::step_took(double seconds) { station_->step_took(seconds); }
ExitCode Watchdog::report(const std::exception& error) { return station_->report(error); }
void Watchdog::finish() { station_->finish(); }

}  // namespace birkhoff
