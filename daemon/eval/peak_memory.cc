#include "daemon/eval/peak_memory.h"

#include <fstream>
#include <string>

namespace shoal::eval {

void restart_peak_memory() {
  // proc(5): 5 resets VmHWM. Where it is refused the peak stays the old one.
  std::ofstream("/proc/self/clear_refs") << "5";
}

double peak_memory_mib() {
  constexpr double kKibPerMib = 1024;
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("VmHWM:", 0) == 0) {
      return std::stod(line.substr(6)) / kKibPerMib;
    }
  }
  return 0;
}

}  // namespace shoal::eval
