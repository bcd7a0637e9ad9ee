#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/daemon_process.h"
#include "tests/bench/load.h"
#include "tests/bench/phases.h"

namespace shoal::bench {

/// Images that the first epoch is learned from.
inline constexpr std::uint64_t kBootstrapImages = 200;
inline constexpr std::chrono::seconds kLongestSettling{300};

/// Starts a daemon with `settings` and those of `bench`, which win; or uses
/// the one that runs.
Result<std::unique_ptr<DaemonProcess>> open_daemon(
    const Bench& bench, std::vector<std::string> settings);

LoadOptions ingest_options(const Bench& bench, const DaemonProcess& daemon);

/// Sends the first kBootstrapImages images and waits for the epoch that is
/// learned from them.
Result<void> make_epoch(const Bench& bench, DaemonProcess& daemon);

}  // namespace shoal::bench
