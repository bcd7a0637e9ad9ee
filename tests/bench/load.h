#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "clients/cpp/client.h"
#include "common/result.h"
#include "tests/bench/jpeg_source.h"

namespace shoal::bench {

struct LoadOptions {
  std::string endpoint;
  Ack ack = Ack::kStored;
  int clients = 1;          ///< threads with a connection each
  std::size_t window = 64;  ///< unanswered images per client
  std::uint64_t images = 0;
  std::chrono::seconds longest{60};  ///< then no further image is sent
  /// Images per second of all clients together, each sent when its time has
  /// come however late the answers are; 0: as fast as they are answered.
  double rate = 0;
};

struct LoadResult {
  std::uint64_t images = 0;  ///< stored or assigned
  std::uint64_t bytes = 0;   ///< of them
  double seconds = 0;        ///< first sent to last answered
  /// Sent to answered, seconds, each image; with a rate from when it was due.
  std::vector<double> latencies;
  std::vector<std::chrono::steady_clock::time_point> sent_at;  ///< of each
};

/// Clients that send images as fast as they are answered, each on a thread of
/// its own. Owner-thread.
class Load {
 public:
  /// Starts sending files `first_number`, ... of `source`, which must outlive
  /// it.
  Load(const JpegSource& source, std::uint64_t first_number,
       const LoadOptions& options);
  /// Stops early and waits.
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Sends no further image; those in flight are waited for.
  void stop() { stopping_ = true; }
  /// Waits for the end. Errors: the first that a client met; kInternal when
  /// an image was refused.
  Result<LoadResult> finish();

 private:
  struct Client {
    std::thread thread;
    Result<LoadResult> result = LoadResult{};
  };
  Result<LoadResult> run_client(int number);

  const JpegSource& source_;
  const LoadOptions options_;
  const std::chrono::steady_clock::time_point started_;
  std::atomic<std::uint64_t> next_;
  const std::uint64_t end_;
  std::atomic<bool> stopping_{false};
  std::vector<Client> clients_;
};

}  // namespace shoal::bench
