#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/result.h"
#include "engine/image/image.h"
#include "engine/transfer/head_learner.h"
#include "engine/transfer/transfer_clustering.h"
#include "engine/views/model_folder.h"

namespace shoal {

/// What of a net is trained beside its new last layer: nothing; its last block
/// (docs/transfer.md says what that is in each architecture); everything.
enum class TrainedLayers { kHead, kLastBlock, kAll };

/// Images by row, so that they need not all be in memory.
struct ImageSource {
  std::size_t rows = 0;
  /// @return the image of a row at the net's input size
  std::function<Result<Image>(std::size_t row)> read;
};

struct NetOptions {
  TrainedLayers layers = TrainedLayers::kLastBlock;
  /// The new last layer, which starts as it would with a frozen net. `seed`,
  /// `held_out` and `cancelled` hold for all that is trained.
  HeadOptions head;
  int variants = 2;  ///< 1..kImageVariants forms of each image (augment.h)
  int max_epochs = 5;
  int patience = 2;  ///< epochs without a lower held-out loss that end it
  int batch = 32;    ///< images
  double learning_rate = 1e-3;  ///< of the pretrained layers
  /// The last layer's learning rate is this many times the others' (TL).
  double head_factor = 10;
  double momentum = 0.9;
  double weight_decay = 5e-4;  ///< of the pretrained layers
  /// What the frozen layers give is kept up to this size, else recomputed.
  std::size_t cache_bytes = std::size_t{1} << 30;
};

/// A learner that says what it is.
class NetLearner : public TransferLearner {
 public:
  /// For people: what is trained, and from which weights or random values.
  [[nodiscard]] virtual const std::string& note() const = 0;
};

/// Transfer learning with a net of which more than the last layer is trained,
/// on the CPU. The classifier gives way to a layer with one output per class
/// on the L2-normalised feature; it and the chosen layers are trained by SGD
/// with momentum, on the images and their changed forms, classes weighing the
/// same. Every fit starts from the model's weights, or from random values
/// where `model.weights` is empty. Batch norms are part of their convolutions,
/// so they have no statistics of their own to drift.
///
/// After each epoch the loss of the held-out rows is taken in their plain
/// form; the epoch with the lowest counts. Epoch 0 is the frozen net, so more
/// trained layers can only lower that loss. With kHead it is what
/// make_head_learner gives on the net's features.
///
/// Not for large sets without need: an epoch costs a pass and a backward pass
/// of the trained part over all confirmed images, and of the frozen part where
/// the cache is too small; the head learner costs a fraction of a second.
/// Deterministic for a seed on one machine and thread count.
/// Before it returns it reads every image `variants` times.
/// fit(): kInvalidArgument for a row or label out of range, kCancelled,
/// kInternal when the loss stops being finite, those of the image source;
/// after an error predict() answers by the fit before.
/// Memory: `cache_bytes`, the features of all variants, the trained weights.
/// Errors: kInvalidArgument (options, an image of another size), kUnsupported
/// (architecture), kCancelled, kResourceExhausted, those of the image source
/// and of the weights.
[[nodiscard]] Result<std::unique_ptr<NetLearner>> make_net_learner(
    const ModelFolder& model, ImageSource images, const NetOptions& options);

}  // namespace shoal
