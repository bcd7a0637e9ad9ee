#include "tests/bench/open_daemon.h"

namespace shoal::bench {

Result<std::unique_ptr<DaemonProcess>> open_daemon(
    const Bench& bench, std::vector<std::string> settings) {
  if (bench.bin.empty()) return DaemonProcess::attach(bench.port_base);
  settings.emplace_back("daemon.log_level=warn");
  if (!bench.models.empty()) {
    settings.push_back("views.models=" + bench.models.string());
  }
  settings.insert(settings.end(), bench.settings.begin(), bench.settings.end());
  return DaemonProcess::start(bench.bin, bench.port_base, settings);
}

LoadOptions ingest_options(const Bench& bench, const DaemonProcess& daemon) {
  LoadOptions options;
  options.endpoint = daemon.endpoints().ingest;
  options.clients = bench.clients;
  options.window = bench.window;
  options.images = bench.images;
  options.longest = bench.longest;
  return options;
}

Result<void> make_epoch(const Bench& bench, DaemonProcess& daemon) {
  LoadOptions options = ingest_options(bench, daemon);
  options.ack = Ack::kAssigned;
  options.images = kBootstrapImages;
  options.longest = kLongestSettling;
  SHOAL_TRY(Load(*bench.jpegs, 0, options).finish());
  return daemon.wait_for_epoch(kLongestSettling);
}

}  // namespace shoal::bench
