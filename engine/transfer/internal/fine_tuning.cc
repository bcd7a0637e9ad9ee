#include "engine/transfer/internal/fine_tuning.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include "engine/views/internal/aten_graph.h"

namespace shoal::internal {
namespace {

at::Tensor unit_rows(const at::Tensor& values) {
  constexpr double kSmallest = 1e-12;
  return values / values.norm(2, 1, true).clamp_min(kSmallest);
}

/// Tensors that are trained at one rate: SGD with momentum as Caffe has it.
/// Biases do not decay.
class ParameterGroup {
 public:
  ParameterGroup(std::vector<at::Tensor> values, double rate, double decay)
      : values_(std::move(values)), rate_(rate), decay_(decay) {
    for (at::Tensor& value : values_) {
      value = value.detach().clone().set_requires_grad(true);
      velocity_.push_back(at::zeros_like(value));
    }
  }

  [[nodiscard]] const std::vector<at::Tensor>& values() const {
    return values_;
  }

  /// The values as they are now.
  [[nodiscard]] std::vector<at::Tensor> copy() const {
    std::vector<at::Tensor> copies;
    for (const at::Tensor& value : values_) {
      copies.push_back(value.detach().clone());
    }
    return copies;
  }

  /// Uses up the gradients.
  void step(double momentum) {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      at::Tensor change = values_[i].grad();
      if (values_[i].dim() > 1) change = change + decay_ * values_[i];
      velocity_[i].mul_(momentum).sub_(change * rate_);
      values_[i].add_(velocity_[i]);
      values_[i].mutable_grad() = at::Tensor();
    }
  }

 private:
  std::vector<at::Tensor> values_;
  std::vector<at::Tensor> velocity_;
  double rate_;
  double decay_;
};

/// @param order  which examples, and when
std::vector<Batch> make_batches(const LabelledRows& examples,
                                const std::vector<std::size_t>& order,
                                int size) {
  std::vector<Batch> batches;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i % static_cast<std::size_t>(size) == 0) batches.emplace_back();
    Batch& batch = batches.back();
    batch.forms.push_back({examples.rows[order[i]], 0});
    batch.labels.push_back(examples.labels[order[i]]);
    batch.weights.push_back(static_cast<float>(examples.weights[order[i]]));
  }
  return batches;
}

std::vector<std::size_t> ascending(std::size_t size) {
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

std::vector<std::size_t> shuffled(std::size_t size, std::mt19937_64& random) {
  std::vector<std::size_t> order = ascending(size);
  // Not std::shuffle: its result differs between standard libraries.
  for (std::size_t i = size; i > 1; --i) {
    std::swap(order[i - 1], order[random() % i]);
  }
  return order;
}

Error not_finite() {
  return internal_error(
      "net learner: the loss stopped being finite; a lower learning rate may "
      "help");
}

}  // namespace

struct FineTuning::Training {
  ParameterGroup trained;
  ParameterGroup head;
  std::mt19937_64 random;
};

std::vector<std::vector<Form>> batches_of(const std::vector<std::size_t>& rows,
                                          int variant, int size) {
  std::vector<std::vector<Form>> batches;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i % static_cast<std::size_t>(size) == 0) batches.emplace_back();
    batches.back().push_back({rows[i], variant});
  }
  return batches;
}

Result<at::Tensor> FineTuning::features(const TunedNet& net,
                                        const std::vector<Form>& forms) {
  if (options_.head.cancelled && options_.head.cancelled()) {
    return Error{ErrorCode::kCancelled, "net learner: cancelled"};
  }
  SHOAL_TRY(front, frozen_.run(forms));
  return unit_rows(
      run_graph(graph_, part_.from, front, graph_.output(), net.parameters));
}

Result<at::Tensor> FineTuning::cross_entropy(const TunedNet& net,
                                             const Batch& batch) {
  SHOAL_TRY(found, features(net, batch.forms));
  const at::Tensor own =
      at::log_softmax(at::linear(found, net.weight, net.bias), 1)
          .gather(1, at::tensor(batch.labels).unsqueeze(1))
          .squeeze(1);
  return -(own * at::tensor(batch.weights)).sum();
}

Result<double> FineTuning::loss(const TunedNet& net,
                                const LabelledRows& examples) {
  const at::NoGradGuard no_grad;
  double sum = 0;
  for (const Batch& batch : make_batches(
           examples, ascending(examples.rows.size()), options_.batch)) {
    SHOAL_TRY(part, cross_entropy(net, batch));
    sum += part.item<double>();
  }
  if (!std::isfinite(sum)) return not_finite();
  return sum;
}

TunedNet FineTuning::replaced(const TunedNet& start,
                              const std::vector<at::Tensor>& trained,
                              const std::vector<at::Tensor>& head) const {
  TunedNet net{start.parameters, head[0], head[1]};
  for (std::size_t i = 0; i < part_.parameters.size(); ++i) {
    net.parameters[part_.parameters[i]] = trained[i];
  }
  return net;
}

Result<void> FineTuning::run_epoch(const TunedNet& start,
                                   const LabelledRows& examples,
                                   Training& training) {
  const at::AutoGradMode with_gradients(true);
  const auto order = shuffled(examples.rows.size(), training.random);
  const auto variants = static_cast<std::uint64_t>(options_.variants);
  for (Batch& batch : make_batches(examples, order, options_.batch)) {
    for (Form& form : batch.forms) {
      form.variant = static_cast<int>(training.random() % variants);
    }
    const TunedNet net =
        replaced(start, training.trained.values(), training.head.values());
    SHOAL_TRY(sum, cross_entropy(net, batch));
    // All weights sum to 1, those of a batch to its share.
    const at::Tensor mean = sum * (static_cast<double>(order.size()) /
                                   static_cast<double>(batch.forms.size()));
    if (!std::isfinite(mean.item<double>())) return not_finite();
    mean.backward();
    training.trained.step(options_.momentum);
    training.head.step(options_.momentum);
  }
  return ok();
}

Result<TunedNet> FineTuning::tune(const TunedNet& start, const Split& split) {
  std::vector<at::Tensor> pretrained;
  for (const std::size_t index : part_.parameters) {
    pretrained.push_back(start.parameters[index]);
  }
  Training training{
      ParameterGroup(std::move(pretrained), options_.learning_rate,
                     options_.weight_decay),
      ParameterGroup({start.weight, start.bias},
                     options_.learning_rate * options_.head_factor,
                     options_.head.weight_decay),
      std::mt19937_64(options_.head.seed)};
  const bool stops_early = !split.held_out.rows.empty();
  TunedNet best = start;
  SHOAL_TRY(lowest, loss(start, split.held_out));
  int since = 0;
  for (int epoch = 0; epoch < options_.max_epochs; ++epoch) {
    SHOAL_TRY(run_epoch(start, split.learned, training));
    TunedNet now =
        replaced(start, training.trained.copy(), training.head.copy());
    SHOAL_TRY(held_out, loss(now, split.held_out));
    if (!stops_early || held_out < lowest) {
      best = std::move(now);
      lowest = held_out;
      since = 0;
    } else if (++since == options_.patience) {
      break;
    }
  }
  return best;
}

}  // namespace shoal::internal
