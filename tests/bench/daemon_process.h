#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/client.h"
#include "common/file.h"
#include "common/result.h"
#include "daemon/refine/child_process.h"

namespace shoal::bench {

/// A shoald under load: one that this program starts on an empty store, or
/// one that runs already. Owner-thread.
class DaemonProcess {
 public:
  /// Starts `bin`/shoald with a store in a temporary folder and waits until it
  /// answers.
  /// @param port_base  0: four free ports
  /// @param settings  as of --set
  static Result<std::unique_ptr<DaemonProcess>> start(
      const std::filesystem::path& bin, int port_base,
      const std::vector<std::string>& settings);
  /// Errors: kUnavailable when it does not answer.
  static Result<std::unique_ptr<DaemonProcess>> attach(int port_base);
  /// Stops what start() started; kills it when it does not end.
  ~DaemonProcess();
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  [[nodiscard]] const Endpoints& endpoints() const { return endpoints_; }

  Result<nlohmann::json> ask(const std::string& op,
                             const nlohmann::json& fields = {});
  /// Waits until no image is pending. Errors: kDeadlineExceeded.
  Result<void> wait_until_idle(std::chrono::seconds longest);
  /// Waits until an epoch answers and no run is in progress, too.
  Result<void> wait_for_epoch(std::chrono::seconds longest);
  /// The samples of /metrics, by name with labels.
  Result<std::map<std::string, double>> metrics();

 private:
  DaemonProcess() = default;
  static Result<std::unique_ptr<DaemonProcess>> connect(int port_base);
  Result<void> wait_until_ready();

  int port_base_ = 0;
  Endpoints endpoints_;
  std::unique_ptr<TemporaryFolder> folder_;
  std::unique_ptr<ChildProcess> child_;
  std::unique_ptr<QueryClient> queries_;
};

}  // namespace shoal::bench
