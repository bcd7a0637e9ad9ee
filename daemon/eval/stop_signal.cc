#include "daemon/eval/stop_signal.h"

#include <csignal>
#include <cstdio>
#include <thread>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "daemon/eval/command.h"

namespace shoal::eval {

/// Waits for signals on a thread of its own.
class StopSignal::Waiter {
 public:
  Waiter() : signals_(context_, SIGINT, SIGTERM) {
    wait();
    thread_ = std::thread([this] { context_.run(); });
  }
  ~Waiter() {
    context_.stop();
    thread_.join();
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  [[nodiscard]] const std::atomic<bool>& flag() const { return stop_; }

 private:
  void wait() {
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      if (stop_) ::_exit(kExitInterrupted);
      stop_ = true;
      std::fputs("\nstopping; again to end at once\n", stderr);
      wait();
    });
  }

  boost::asio::io_context context_;
  boost::asio::signal_set signals_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

StopSignal::StopSignal() : waiter_(std::make_unique<Waiter>()) {}

StopSignal::~StopSignal() = default;

const std::atomic<bool>& StopSignal::flag() const { return waiter_->flag(); }

}  // namespace shoal::eval
