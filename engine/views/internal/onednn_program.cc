#include "engine/views/internal/onednn_program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>

#include <ATen/core/Tensor.h>

#include "common/check.h"

namespace shoal::internal {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;
using Tag = memory::format_tag;
using Type = memory::data_type;

constexpr std::size_t kNoParameter = std::numeric_limits<std::size_t>::max();
/// A cache line, and the alignment that vectors want.
constexpr std::size_t kAlignment = 64;

memory::desc with_type(const memory::desc& desc, Type type) {
  memory::desc copy = desc;
  copy.data.data_type = memory::convert_to_c(type);
  return copy;
}

struct Eltwise {
  algorithm kind;
  float alpha;
  float beta;
};

std::optional<Eltwise> eltwise(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
      return Eltwise{algorithm::eltwise_relu, 0, 0};
    case Activation::kRelu6:
      return Eltwise{algorithm::eltwise_clip, 0, 6};
    case Activation::kSilu:
      return Eltwise{algorithm::eltwise_swish, 1, 0};
    case Activation::kSigmoid:
      return Eltwise{algorithm::eltwise_logistic, 0, 0};
    case Activation::kTanh:
      return Eltwise{algorithm::eltwise_tanh, 0, 0};
  }
  return std::nullopt;
}

/// Attributes with scratch memory of ours, an optional sum into the target,
/// and an activation.
dnnl::primitive_attr attributes(Activation activation, bool sum = false) {
  dnnl::post_ops after;
  if (sum) after.append_sum();
  if (const auto last = eltwise(activation)) {
    after.append_eltwise(1, last->kind, last->alpha, last->beta);
  }
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(after);
  return attr;
}

/// torchvision's adaptive average pool of planes.
void average_windows(const float* in, float* out, std::int64_t planes,
                     std::int64_t height, std::int64_t width,
                     std::int64_t side) {
  const auto begin = [side](std::int64_t i, std::int64_t size) {
    return i * size / side;
  };
  const auto end = [side](std::int64_t i, std::int64_t size) {
    return ((i + 1) * size + side - 1) / side;
  };
  for (std::int64_t plane = 0; plane < planes; ++plane, in += height * width) {
    for (std::int64_t i = 0; i < side; ++i) {
      for (std::int64_t j = 0; j < side; ++j) {
        float sum = 0;
        for (auto y = begin(i, height); y < end(i, height); ++y) {
          for (auto x = begin(j, width); x < end(j, width); ++x) {
            sum += in[y * width + x];
          }
        }
        const auto count = (end(i, height) - begin(i, height)) *
                           (end(j, width) - begin(j, width));
        *out++ = sum / static_cast<float>(count);
      }
    }
  }
}

/// Makes a Program node by node. Every value may be there in several layouts
/// ("versions"); a primitive that wants another one gets a reorder before it.
class Compiler {
 public:
  Compiler(const dnnl::engine& engine, const Graph& graph, Constants& constants,
           const OneDnnTypes& types, std::size_t images)
      : engine_(engine),
        graph_(graph),
        constants_(constants),
        images_(static_cast<memory::dim>(images)),
        last_use_(last_uses(graph)),
        computes_(graph.nodes().size(), Type::f32),
        gives_(graph.nodes().size(), Type::f32),
        versions_(graph.nodes().size()) {
    program_.images = images;
    if (types.bfloat16) choose_types(types.float32_layers);
    program_.input_is_float = gives_[graph.input()] == Type::f32;
  }

  Result<Program> compile() {
    for (node_ = 1; node_ < graph_.nodes().size(); ++node_) {
      try {
        std::visit(*this, node().op);
      } catch (const dnnl::error& error) {
        return onednn_failure(error).within("layer " + node().name);
      }
    }
    const Shape& shape = graph_.nodes()[graph_.output()].shape;
    program_.output =
        read(graph_.output(),
             memory::desc({images_, shape.channels}, Type::f32, Tag::nc));
    // Whoever runs the program takes it from there after the last step.
    touch(program_.output, program_.steps.size());
    place_regions();
    return std::move(program_);
  }

  void operator()(const InputOp&) {
    SHOAL_CHECK(false, "the input is the first node");
  }

  void operator()(const ConvolutionOp& op) {
    const Value x = node().inputs[0];
    const Shape& in = shape_of(x);
    const Shape& out = node().shape;
    const bool sum = node().inputs.size() == 2;
    const memory::dims weight_dims = {op.groups, out.channels / op.groups,
                                      in.channels / op.groups,
                                      op.vertical.kernel, op.horizontal.kernel};
    const Type type = computes_[node_];
    memory::desc target = any(dims(out), gives_[node_]);
    std::size_t sum_slot = 0;
    if (sum) {
      sum_slot = target_for_sum(node().inputs[1]);
      target = program_.slots[sum_slot].desc;
    }
    const dnnl::convolution_forward::primitive_desc pd(
        {prop_kind::forward_inference,
         algorithm::convolution_direct,
         any(dims(in), type),
         any(weight_dims, type),
         memory::desc({out.channels}, Type::f32, Tag::x),
         target,
         {op.vertical.stride, op.horizontal.stride},
         {op.vertical.before, op.horizontal.before},
         {needed_after(op.vertical, in.height, out.height),
          needed_after(op.horizontal, in.width, out.width)}},
        attributes(node().activation, sum), engine_);
    const std::size_t to = sum ? sum_slot : new_slot(pd.dst_desc());
    step(
        dnnl::convolution_forward(pd), pd.scratchpad_desc(),
        {slot(DNNL_ARG_SRC, read(x, pd.src_desc())),
         weight(DNNL_ARG_WEIGHTS, op.weight,
                memory::desc(weight_dims, Type::f32, Tag::goihw),
                pd.weights_desc()),
         vector(DNNL_ARG_BIAS, op.bias, out.channels), slot(DNNL_ARG_DST, to)});
    give(to);
  }

  void operator()(const LinearOp& op) {
    const Value x = node().inputs[0];
    const memory::dim in = shape_of(x).channels;
    const memory::dim out = node().shape.channels;
    const Type type = computes_[node_];
    const dnnl::inner_product_forward::primitive_desc pd(
        {prop_kind::forward_inference, any({images_, in}, type),
         any({out, in}, type), memory::desc({out}, Type::f32, Tag::x),
         memory::desc({images_, out}, gives_[node_], Tag::nc)},
        attributes(node().activation), engine_);
    const std::size_t to = new_slot(pd.dst_desc());
    step(
        dnnl::inner_product_forward(pd), pd.scratchpad_desc(),
        {slot(DNNL_ARG_SRC, read(x, pd.src_desc())),
         weight(DNNL_ARG_WEIGHTS, op.weight,
                memory::desc({out, in}, Type::f32, Tag::oi), pd.weights_desc()),
         vector(DNNL_ARG_BIAS, op.bias, out), slot(DNNL_ARG_DST, to)});
    give(to);
  }

  void operator()(const ScaleShiftOp& op) {
    const memory::dim channels = node().shape.channels;
    const std::size_t from = typed(node().inputs[0]);
    const bool relu = node().activation == Activation::kRelu;
    auto flags = dnnl::normalization_flags::use_global_stats |
                 dnnl::normalization_flags::use_scale |
                 dnnl::normalization_flags::use_shift;
    if (relu) flags |= dnnl::normalization_flags::fuse_norm_relu;
    const dnnl::batch_normalization_forward::primitive_desc pd(
        {prop_kind::forward_inference, program_.slots[from].desc, 0.0F, flags},
        attributes(Activation::kNone), engine_);
    const std::size_t to = in_place_or_new(node().inputs[0], from);
    const auto size = static_cast<std::size_t>(channels);
    const memory::desc plain({channels}, Type::f32, Tag::x);
    step(dnnl::batch_normalization_forward(pd), pd.scratchpad_desc(),
         {slot(DNNL_ARG_SRC, from),
          slot(DNNL_ARG_DST, to),
          {DNNL_ARG_MEAN, true,
           constants_.add(std::vector<float>(size, 0), plain)},
          {DNNL_ARG_VARIANCE, true,
           constants_.add(std::vector<float>(size, 1), plain)},
          vector(DNNL_ARG_SCALE, op.scale, channels),
          vector(DNNL_ARG_SHIFT, op.shift, channels)});
    if (!relu) activate(to);
    give(to);
  }

  void operator()(const MaxPoolOp& op) {
    pool(typed(node().inputs[0]), algorithm::pooling_max, op.vertical,
         op.horizontal);
  }

  void operator()(const AveragePoolOp& op) {
    pool(typed(node().inputs[0]),
         op.count_padding ? algorithm::pooling_avg_include_padding
                          : algorithm::pooling_avg_exclude_padding,
         op.window, op.window);
  }

  void operator()(const AdaptiveAveragePoolOp& op) {
    const Value x = node().inputs[0];
    const Shape& in = shape_of(x);
    if (in.height % op.side == 0 && in.width % op.side == 0) {
      const auto window = [&op](std::int64_t size) {
        const int kernel = static_cast<int>(size / op.side);
        return Window{kernel, kernel, 0, 0};
      };
      pool(typed(x), algorithm::pooling_avg_exclude_padding, window(in.height),
           window(in.width));
      return;
    }
    const std::size_t from =
        read(x, memory::desc(dims(in), Type::f32, Tag::nchw));
    const std::size_t to =
        new_slot(memory::desc(dims(node().shape), Type::f32, Tag::nchw));
    Program::Step windows;
    windows.function = [planes = images_ * in.channels, height = in.height,
                        width = in.width,
                        side = op.side](const float* source, float* target) {
      average_windows(source, target, planes, height, width, side);
    };
    windows.arguments = {slot(DNNL_ARG_SRC, from), slot(DNNL_ARG_DST, to)};
    add(std::move(windows));
    give(to);
  }

  void operator()(const ResponseNormOp& op) {
    const std::size_t from = typed(node().inputs[0]);
    const dnnl::lrn_forward::primitive_desc pd(
        {prop_kind::forward_inference, algorithm::lrn_across_channels,
         program_.slots[from].desc, op.size, static_cast<float>(op.alpha),
         static_cast<float>(op.beta), 1.0F},
        attributes(Activation::kNone), engine_);
    const std::size_t to = new_slot(pd.dst_desc());
    step(dnnl::lrn_forward(pd), pd.scratchpad_desc(),
         {slot(DNNL_ARG_SRC, from), slot(DNNL_ARG_DST, to)});
    give(to);
  }

  void operator()(const AddOp&) {
    const std::size_t a = typed(node().inputs[0]);
    const std::size_t b = read(node().inputs[1], program_.slots[a].desc);
    binary(algorithm::binary_add, a, b);
  }

  void operator()(const MultiplyOp&) {
    const std::size_t map = typed(node().inputs[0]);
    binary(algorithm::binary_mul, map, typed(node().inputs[1]));
  }

  void operator()(const ConcatenateOp&) {
    std::vector<std::size_t> parts;
    std::vector<memory::desc> descs;
    for (const Value input : node().inputs) {
      parts.push_back(typed(input));
      descs.push_back(program_.slots[parts.back()].desc);
    }
    const dnnl::concat::primitive_desc pd(1, descs, engine_,
                                          attributes(Activation::kNone));
    const std::size_t to = new_slot(pd.dst_desc());
    std::vector<Program::Argument> arguments = {slot(DNNL_ARG_DST, to)};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      arguments.push_back(
          slot(DNNL_ARG_MULTIPLE_SRC + static_cast<int>(i), parts[i]));
    }
    step(dnnl::concat(pd), pd.scratchpad_desc(), std::move(arguments));
    give(to);
  }

  void operator()(const FlattenOp&) {
    const Value x = node().inputs[0];
    const memory::desc planes(dims(shape_of(x)), gives_[node_], Tag::nchw);
    std::size_t from = read(x, planes);
    // Whatever works in place on x later would change the vector, too.
    if (!dies(x)) from = copy(from, planes);
    give(new_slot(memory::desc(dims(node().shape), gives_[node_], Tag::nc),
                  program_.slots[from].region));
  }

  void operator()(const ActivateOp&) {
    const std::size_t from = typed(node().inputs[0]);
    const std::size_t to = in_place_or_new(node().inputs[0], from);
    activate(from, to);
    give(to);
  }

 private:
  [[nodiscard]] const Node& node() const { return graph_.nodes()[node_]; }
  [[nodiscard]] const Shape& shape_of(Value x) const {
    return graph_.nodes()[x].shape;
  }

  [[nodiscard]] memory::dims dims(const Shape& shape) const {
    if (shape.vector) return {images_, shape.channels};
    return {images_, shape.channels, shape.height, shape.width};
  }

  static memory::desc any(const memory::dims& dims, Type type) {
    return {dims, type, Tag::any};
  }

  /// What oneDNN calls the right padding: as much as the outputs need.
  static memory::dim needed_after(const Window& window, std::int64_t in,
                                  std::int64_t out) {
    return (out - 1) * window.stride + window.kernel - in - window.before;
  }

  /// bfloat16 from the input on, or behind the first `float32_layers`
  /// convolutions, but for the end of the net: what the output is made of
  /// without another convolution or linear layer stays float32.
  void choose_types(std::size_t float32_layers) {
    const auto& nodes = graph_.nodes();
    std::size_t convolutions = 0;
    for (Value i = 0; i < nodes.size(); ++i) {
      if (convolutions >= float32_layers) {
        computes_[i] = gives_[i] = Type::bf16;
      }
      if (std::holds_alternative<ConvolutionOp>(nodes[i].op)) ++convolutions;
    }
    Value x = graph_.output();
    for (;;) {
      // A sum is written over one of its terms, and of the term's type.
      if (nodes[x].inputs.size() == 1 ||
          !std::holds_alternative<ConvolutionOp>(nodes[x].op)) {
        gives_[x] = Type::f32;
      }
      if (!std::holds_alternative<FlattenOp>(nodes[x].op) &&
          !std::holds_alternative<AdaptiveAveragePoolOp>(nodes[x].op)) {
        break;
      }
      const Value before = nodes[x].inputs[0];
      if (last_use_[before] != x) break;
      x = before;
    }
  }

  // Slots and versions.

  std::size_t new_slot(const memory::desc& desc) {
    program_.regions.push_back({desc.get_size(), kNever, 0, 0});
    return new_slot(desc, program_.regions.size() - 1);
  }

  /// A slot that lies where another one does.
  std::size_t new_slot(const memory::desc& desc, std::size_t region) {
    program_.slots.push_back({desc, region});
    return program_.slots.size() - 1;
  }

  void give(std::size_t slot) { versions_[node_] = {slot}; }

  /// The first version of x.
  std::size_t first_version(Value x) {
    if (versions_[x].empty()) make_input(PixelTransform::Layout::kInterleaved);
    return versions_[x].front();
  }

  void make_input(PixelTransform::Layout layout) {
    const Shape& shape = shape_of(graph_.input());
    program_.input_layout = layout;
    program_.input = new_slot(input_desc(shape, layout));
    // It is written before the first step.
    touch(program_.input, 0);
    versions_[graph_.input()] = {program_.input};
  }

  [[nodiscard]] memory::desc input_desc(const Shape& shape,
                                        PixelTransform::Layout layout) const {
    const Tag tag =
        layout == PixelTransform::Layout::kPlanes ? Tag::nchw : Tag::nhwc;
    return {dims(shape), gives_[graph_.input()], tag};
  }

  /// x in the layout `wanted`.
  std::size_t read(Value x, const memory::desc& wanted) {
    if (x == graph_.input() && versions_[x].empty()) {
      const memory::desc planes =
          input_desc(shape_of(x), PixelTransform::Layout::kPlanes);
      make_input(wanted == planes ? PixelTransform::Layout::kPlanes
                                  : PixelTransform::Layout::kInterleaved);
    }
    for (const std::size_t version : versions_[x]) {
      if (program_.slots[version].desc == wanted) return version;
    }
    const std::size_t to = copy(first_version(x), wanted);
    versions_[x].push_back(to);
    return to;
  }

  /// x in any layout, of the type in which the node's output is.
  std::size_t typed(Value x) {
    return read(
        x, with_type(program_.slots[first_version(x)].desc, gives_[node_]));
  }

  /// A new slot with what `from` holds.
  std::size_t copy(std::size_t from, const memory::desc& desc) {
    const std::size_t to = new_slot(desc);
    const dnnl::reorder::primitive_desc pd(engine_, program_.slots[from].desc,
                                           engine_, desc,
                                           attributes(Activation::kNone));
    step(dnnl::reorder(pd), pd.scratchpad_desc(),
         {slot(DNNL_ARG_FROM, from), slot(DNNL_ARG_TO, to)});
    return to;
  }

  /// Whether this node is the last that needs x.
  [[nodiscard]] bool dies(Value x) const {
    return last_use_[x] == node_ && x != graph_.input();
  }

  std::size_t in_place_or_new(Value x, std::size_t from) {
    const memory::desc desc = program_.slots[from].desc;
    return dies(x) ? new_slot(desc, program_.slots[from].region)
                   : new_slot(desc);
  }

  /// A slot that holds x and may be written.
  std::size_t target_for_sum(Value x) {
    const std::size_t from = read(
        x, with_type(program_.slots[first_version(x)].desc, gives_[node_]));
    const memory::desc desc = program_.slots[from].desc;
    // A convolution may not write over what it reads.
    return dies(x) && x != node().inputs[0]
               ? new_slot(desc, program_.slots[from].region)
               : copy(from, desc);
  }

  // Steps.

  static Program::Argument slot(int kind, std::size_t index) {
    return {kind, false, index};
  }

  Program::Argument weight(int kind, std::size_t parameter,
                           const memory::desc& plain,
                           const memory::desc& wanted) {
    return {kind, true, constants_.get(graph_, parameter, plain, wanted)};
  }

  Program::Argument vector(int kind, std::size_t parameter, memory::dim size) {
    const memory::desc plain({size}, Type::f32, Tag::x);
    return weight(kind, parameter, plain, plain);
  }

  /// The region of a slot is taken at a step.
  void touch(std::size_t slot, std::size_t step) {
    Program::Region& region = program_.regions[program_.slots[slot].region];
    region.first = std::min(region.first, step);
    region.last = std::max(region.last, step);
  }

  void add(Program::Step step) {
    for (const Program::Argument& argument : step.arguments) {
      if (!argument.constant) touch(argument.index, program_.steps.size());
    }
    program_.steps.push_back(std::move(step));
  }

  void step(dnnl::primitive primitive, const memory::desc& scratchpad,
            std::vector<Program::Argument> arguments) {
    if (scratchpad.get_size() > 0) {
      arguments.push_back(slot(DNNL_ARG_SCRATCHPAD, new_slot(scratchpad)));
    }
    Program::Step step;
    step.primitive = std::move(primitive);
    step.arguments = std::move(arguments);
    add(std::move(step));
  }

  void pool(std::size_t from, algorithm kind, const Window& vertical,
            const Window& horizontal) {
    const Shape& in = shape_of(node().inputs[0]);
    const Shape& out = node().shape;
    const memory::desc& source = program_.slots[from].desc;
    const dnnl::pooling_forward::primitive_desc pd(
        {prop_kind::forward_inference,
         kind,
         source,
         any(dims(out), source.data_type()),
         {vertical.stride, horizontal.stride},
         {vertical.kernel, horizontal.kernel},
         {vertical.before, horizontal.before},
         {needed_after(vertical, in.height, out.height),
          needed_after(horizontal, in.width, out.width)}},
        attributes(Activation::kNone), engine_);
    const std::size_t to = new_slot(pd.dst_desc());
    step(dnnl::pooling_forward(pd), pd.scratchpad_desc(),
         {slot(DNNL_ARG_SRC, from), slot(DNNL_ARG_DST, to)});
    give(to);
  }

  void binary(algorithm kind, std::size_t a, std::size_t b) {
    const memory::desc target = program_.slots[a].desc;
    const dnnl::binary::primitive_desc pd(
        {kind, target, program_.slots[b].desc, target},
        attributes(node().activation), engine_);
    const std::size_t to = in_place_or_new(node().inputs[0], a);
    step(dnnl::binary(pd), pd.scratchpad_desc(),
         {slot(DNNL_ARG_SRC_0, a), slot(DNNL_ARG_SRC_1, b),
          slot(DNNL_ARG_DST, to)});
    give(to);
  }

  void activate(std::size_t slot_index) { activate(slot_index, slot_index); }

  void activate(std::size_t from, std::size_t to) {
    const auto what = eltwise(node().activation);
    if (!what) return;
    const dnnl::eltwise_forward::primitive_desc pd(
        {prop_kind::forward_inference, what->kind, program_.slots[from].desc,
         what->alpha, what->beta},
        attributes(Activation::kNone), engine_);
    step(dnnl::eltwise_forward(pd), pd.scratchpad_desc(),
         {slot(DNNL_ARG_SRC, from), slot(DNNL_ARG_DST, to)});
  }

  /// Gives every region the lowest place that is free while it is taken, the
  /// largest region first.
  void place_regions() {
    std::vector<std::size_t> order(program_.regions.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(
        order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
          return program_.regions[a].bytes > program_.regions[b].bytes;
        });
    std::vector<std::size_t> placed;  // by offset
    for (const std::size_t index : order) {
      Program::Region& region = program_.regions[index];
      region.bytes = (region.bytes + kAlignment - 1) / kAlignment * kAlignment;
      region.offset = 0;
      for (const std::size_t other_index : placed) {
        const Program::Region& other = program_.regions[other_index];
        const bool together =
            other.first <= region.last && region.first <= other.last;
        if (!together) continue;
        if (region.offset + region.bytes <= other.offset) break;
        region.offset = std::max(region.offset, other.offset + other.bytes);
      }
      placed.insert(std::upper_bound(placed.begin(), placed.end(), index,
                                     [this](std::size_t a, std::size_t b) {
                                       return program_.regions[a].offset <
                                              program_.regions[b].offset;
                                     }),
                    index);
      program_.arena_bytes =
          std::max(program_.arena_bytes, region.offset + region.bytes);
    }
  }

  static constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

  dnnl::engine engine_;
  const Graph& graph_;
  Constants& constants_;
  memory::dim images_;
  Program program_;
  std::size_t node_ = 0;
  std::vector<std::size_t> last_use_;
  std::vector<Type> computes_;  ///< of the inputs of a product
  std::vector<Type> gives_;
  std::vector<std::vector<std::size_t>> versions_;  ///< slots
};

}  // namespace

Error onednn_failure(const dnnl::error& error) {
  if (error.status == dnnl_unimplemented) {
    return unsupported(std::string("oneDNN: ") + error.what());
  }
  if (error.status == dnnl_out_of_memory) {
    return resource_exhausted(std::string("oneDNN: ") + error.what());
  }
  return internal_error(std::string("oneDNN: ") + error.what());
}

std::size_t Constants::get(const Graph& graph, std::size_t parameter,
                           const memory::desc& plain,
                           const memory::desc& wanted) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].parameter == parameter &&
        entries_[i].memory.get_desc() == wanted) {
      return i;
    }
  }
  const at::Tensor& values = graph.parameters()[parameter].values;
  SHOAL_CHECK(values.is_contiguous() && plain.get_size() == values.nbytes(),
              "parameters are contiguous float32");
  memory from(plain, engine_, values.data_ptr<float>());
  memory to(wanted, engine_);
  dnnl::reorder(from, to).execute(stream_, from, to);
  stream_.wait();
  entries_.push_back({parameter, std::move(to)});
  return entries_.size() - 1;
}

std::size_t Constants::add(const std::vector<float>& values,
                           const memory::desc& desc) {
  SHOAL_CHECK(desc.get_size() == values.size() * sizeof(float), "plain floats");
  memory to(desc, engine_);
  std::memcpy(to.get_data_handle(), values.data(), desc.get_size());
  entries_.push_back({kNoParameter, std::move(to)});
  return entries_.size() - 1;
}

Result<Program> make_program(const dnnl::engine& engine, const Graph& graph,
                             Constants& constants, const OneDnnTypes& types,
                             std::size_t images) {
  return Compiler(engine, graph, constants, types, images).compile();
}

}  // namespace shoal::internal
