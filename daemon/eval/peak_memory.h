#pragma once

namespace shoal::eval {

/// Starts a new measurement of the process's peak memory where the system
/// lets a process do so; else the peak is that since its start.
void restart_peak_memory();
/// MiB of memory that the process had at most since restart_peak_memory().
[[nodiscard]] double peak_memory_mib();

}  // namespace shoal::eval
