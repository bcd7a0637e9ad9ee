#include "daemon/pipeline/priority.h"

#include <cerrno>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "common/result.h"

namespace shoal {

void set_thread_nice(int level) {
  // Linux has a level per thread.
  const auto thread = static_cast<id_t>(::gettid());
  if (::setpriority(PRIO_PROCESS, thread, level) == 0) return;
  spdlog::warn("event=nice_failed level={} error={}", level,
               log_value(errno_error("set priority", errno).message));
}

}  // namespace shoal
