#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/result.h"
#include "tests/bench/jpeg_source.h"
#include "tests/bench/report.h"

namespace shoal::bench {

/// What all phases share; immutable but for `report`.
struct Bench {
  std::filesystem::path bin;  ///< of shoald; empty: one that runs already
  int port_base = 0;          ///< 0: four free ports
  std::string views;          ///< of shoald, as of views.use
  std::filesystem::path models;
  std::vector<std::string> settings;  ///< further ones, as of --set
  int clients = 4;
  std::size_t window = 64;
  std::uint64_t images = 5'000;  ///< of one measurement
  int rounds = 3;                ///< measurements of which the median counts
  std::uint64_t queries = 2'000;
  double rate = 50;                  ///< images/s of the refine phase
  double query_rate = 100;           ///< queries/s of the refine phase
  std::chrono::seconds longest{60};  ///< of one measurement

  const JpegSource* jpegs = nullptr;
  Report* report = nullptr;
};

/// Images/s to `stored`, against the same bytes in groups of the same size
/// appended to a file of the same file system, each with an fdatasync.
/// @param paused  nothing works on the stored images meanwhile
Result<void> run_ingest(const Bench& bench, bool paused);

/// Latency of queries by one client that asks one at a time: idle, and while
/// the clients of the ingest phase send as fast as they are answered.
Result<void> run_queries(const Bench& bench);

/// Latency of ingest to `stored` and of queries by id, at a steady rate of
/// each, for Bench::longest before and after a relearning run over
/// Bench::images images and while it is in progress.
Result<void> run_refinement(const Bench& bench);

/// Images/s from `stored` to `assigned`, against the bare extractor on the
/// same images, decoded before.
Result<void> run_end_to_end(const Bench& bench);

/// Latency of ClusterBook::arrive, one arrival at a time: five views,
/// a thousand clusters.
Result<void> run_assign(const Bench& bench);

}  // namespace shoal::bench
