#include "engine/views/internal/onednn_executor.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <sys/mman.h>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "engine/views/internal/onednn_program.h"
#include "engine/views/internal/translated.h"

// Of the OpenMP that oneDNN and LibTorch use. Declared here, because a
// compiler's own omp.h may be of another one.
extern "C" {
void omp_set_num_threads(int threads);
int omp_get_max_threads(void);
}

namespace shoal::internal {
namespace {

/// Images that a lane computes together: enough to use a layer's weights more
/// than once, few enough that activations stay in the caches.
constexpr std::size_t kPieceImages = 4;

/// While it lives, this thread's parallel regions have one thread.
class SingleThreaded {
 public:
  SingleThreaded() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleThreaded() { omp_set_num_threads(before_); }
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int before_;
};

/// Memory in large pages where the system has them.
class Arena {
 public:
  explicit Arena(std::size_t bytes) {
    bytes = (bytes + kPage - 1) / kPage * kPage;
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kPage, bytes)));
    if (!data_) throw std::bad_alloc();
    // Advice: without it there are only more misses in the page tables.
    static_cast<void>(::madvise(data_.get(), bytes, MADV_HUGEPAGE));
  }

  [[nodiscard]] std::byte* data() const { return data_.get(); }

 private:
  static constexpr std::size_t kPage = std::size_t{2} << 20U;
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

/// A range of a batch.
struct Piece {
  std::size_t begin = 0;
  std::size_t images = 0;
};

/// Pieces of 2^i images, none larger than a lane's share of the batch needs.
std::vector<Piece> cut(std::size_t images, std::size_t lanes) {
  const std::size_t share = (images + lanes - 1) / lanes;
  std::vector<Piece> pieces;
  for (std::size_t begin = 0; begin < images;) {
    std::size_t size = kPieceImages;
    while (size > share || size > images - begin) size /= 2;
    pieces.push_back({begin, size});
    begin += size;
  }
  return pieces;
}

/// One thread's arena, and the programs with their memory in it.
class Lane {
 public:
  Lane(const dnnl::engine& engine, const std::vector<Program>& programs,
       const Constants& constants, std::size_t arena_bytes)
      : arena_(arena_bytes), stream_(engine) {
    for (const Program& program : programs) {
      bound_.push_back(bind(engine, program, constants));
    }
  }

  /// Computes features of images into `out`, row by row. Throws dnnl::error.
  void run(const std::vector<Image>& images, const Piece& piece,
           const PixelTransform& transform, Matrix& out) {
    const Bound& bound = *std::find_if(
        bound_.begin(), bound_.end(),
        [&](const Bound& one) { return one.program->images == piece.images; });
    const Program& program = *bound.program;
    std::byte* const input = place(program, program.input);
    for (std::size_t i = 0; i < piece.images; ++i) {
      const Image& image = images[piece.begin + i];
      const std::size_t begin = i * image.rgb.size();
      if (program.input_is_float) {
        transform.write(image, program.input_layout,
                        reinterpret_cast<float*>(input) + begin);
      } else {
        transform.write(image, program.input_layout,
                        reinterpret_cast<std::uint16_t*>(input) + begin);
      }
    }
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
      const Program::Step& step = program.steps[i];
      if (step.function) {
        step.function(data(program, step.arguments[0]),
                      data(program, step.arguments[1]));
      } else {
        step.primitive.execute(stream_, bound.arguments[i]);
      }
    }
    stream_.wait();
    std::memcpy(
        out.row(static_cast<Eigen::Index>(piece.begin)).data(),
        place(program, program.output),
        piece.images * static_cast<std::size_t>(out.cols()) * sizeof(float));
  }

 private:
  struct Bound {
    const Program* program;
    std::vector<std::unordered_map<int, dnnl::memory>> arguments;  ///< by step
  };

  [[nodiscard]] std::byte* place(const Program& program,
                                 std::size_t slot) const {
    return arena_.data() + program.regions[program.slots[slot].region].offset;
  }

  [[nodiscard]] float* data(const Program& program,
                            const Program::Argument& argument) const {
    return reinterpret_cast<float*>(place(program, argument.index));
  }

  [[nodiscard]] Bound bind(const dnnl::engine& engine, const Program& program,
                           const Constants& constants) const {
    Bound bound{&program, {}};
    for (const Program::Step& step : program.steps) {
      auto& arguments = bound.arguments.emplace_back();
      for (const Program::Argument& argument : step.arguments) {
        arguments.emplace(
            argument.kind,
            argument.constant
                ? constants.at(argument.index)
                : dnnl::memory(program.slots[argument.index].desc, engine,
                               place(program, argument.index)));
      }
    }
    return bound;
  }

  Arena arena_;
  dnnl::stream stream_;
  std::vector<Bound> bound_;
};

class OneDnnExecutor final : public Executor {
 public:
  explicit OneDnnExecutor(const PixelTransform& transform)
      : transform_(transform) {}

  Result<void> make(const Graph& graph, const OneDnnTypes& types, int threads) {
    const SingleThreaded single;
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    constants_.emplace(engine);
    dim_ = graph.nodes()[graph.output()].shape.channels;
    std::size_t arena_bytes = 0;
    for (std::size_t images = 1; images <= kPieceImages; images *= 2) {
      SHOAL_TRY(program,
                make_program(engine, graph, *constants_, types, images));
      arena_bytes = std::max(arena_bytes, program.arena_bytes);
      programs_.push_back(std::move(program));
    }
    for (int i = 0; i < std::max(threads, 1); ++i) {
      lanes_.emplace_back(engine, programs_, *constants_, arena_bytes);
    }
    arena_bytes_ = arena_bytes * lanes_.size();
    return ok();
  }

  [[nodiscard]] Result<Matrix> run(const std::vector<Image>& images) override {
    const auto pieces = cut(images.size(), lanes_.size());
    Matrix out(static_cast<Eigen::Index>(images.size()), dim_);
    std::atomic<std::size_t> next{0};
    std::mutex mutex;
    std::optional<Error> error;
    const auto work = [&](Lane& lane) {
      const SingleThreaded single;
      const auto fail = [&](Error what) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::move(what);
      };
      try {
        for (std::size_t i = next++; i < pieces.size(); i = next++) {
          lane.run(images, pieces[i], transform_, out);
        }
      } catch (const dnnl::error& what) {
        fail(onednn_failure(what));
      } catch (const std::exception& what) {
        fail(internal_error(what.what()));
      }
    };
    // Threads are cheap beside a net, and those made here have the priority of
    // the one that extracts.
    std::vector<std::thread> threads;
    try {
      for (std::size_t i = 1; i < std::min(lanes_.size(), pieces.size()); ++i) {
        threads.emplace_back(work, std::ref(lanes_[i]));
      }
    } catch (const std::system_error&) {
      // No more threads to be had: those that are there do all pieces.
    }
    work(lanes_[0]);
    for (std::thread& thread : threads) thread.join();
    if (error) return *error;
    return out;
  }

  [[nodiscard]] std::size_t arena_bytes() const override {
    return arena_bytes_;
  }

 private:
  PixelTransform transform_;
  std::optional<Constants> constants_;
  std::vector<Program> programs_;
  std::vector<Lane> lanes_;
  Eigen::Index dim_ = 0;
  std::size_t arena_bytes_ = 0;
};

}  // namespace

std::string onednn_version() {
  const dnnl::version_t* version = dnnl::version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor,
                     version->patch);
}

bool onednn_has_bfloat16() {
  const auto has = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  return (has & needed) == needed;
}

Result<std::unique_ptr<Executor>> make_onednn_executor(
    const Graph& graph, const PixelTransform& transform,
    const OneDnnTypes& types, int threads) {
  auto executor = std::make_unique<OneDnnExecutor>(transform);
  try {
    SHOAL_TRY(executor->make(graph, types, threads));
  } catch (const dnnl::error& error) {
    return onednn_failure(error);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("no memory for a net's activations");
  }
  return std::unique_ptr<Executor>(std::move(executor));
}

}  // namespace shoal::internal
