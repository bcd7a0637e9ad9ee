#include <algorithm>
#include <cstring>
#include <utility>

#include <Eigen/Eigenvalues>
#include <spdlog/fmt/fmt.h>

#include "common/check.h"
#include "engine/views/handcrafted.h"
#include "engine/views/internal/mapped_file.h"
#include "engine/views/internal/pixels.h"
#include "engine/views/safetensors.h"

namespace shoal {
namespace {

constexpr int kDim = RawPixelPca::kDim;
constexpr int kPixels = internal::kRawDim;
static_assert(RawPixelPca::kSide == internal::kRawSide);

/// The view's weights.
struct Basis {
  Matrix mean;        ///< (1, pixels)
  Matrix components;  ///< (dim, pixels), orthonormal rows
};

std::string_view bytes_of(const Matrix& matrix) {
  return {reinterpret_cast<const char*>(matrix.data()),
          static_cast<std::size_t>(matrix.size()) * sizeof(float)};
}

class RawPixelPcaView final : public View {
 public:
  explicit RawPixelPcaView(Basis basis) : basis_(std::move(basis)) {
    spec_.name = "rp_pca";
    spec_.dim = kDim;
    spec_.input_width = RawPixelPca::kSide;
    spec_.input_height = RawPixelPca::kSide;
    spec_.weights_hash =
        internal::version_hash(std::string(bytes_of(basis_.mean)) +
                               std::string(bytes_of(basis_.components)));
    spec_.preprocessing_hash = internal::version_hash(
        "rp_pca; 32 x 32; 1; BT.601 grey / 255; centred; projected; " +
        std::string(kPixelRecipe));
  }

  [[nodiscard]] const ViewSpec& spec() const override { return spec_; }
  [[nodiscard]] const Basis& basis() const { return basis_; }

  [[nodiscard]] Result<Matrix> extract(
      const std::vector<Image>& images) override {
    Matrix pixels(static_cast<Eigen::Index>(images.size()), kPixels);
    for (std::size_t i = 0; i < images.size(); ++i) {
      SHOAL_CHECK(images[i].width == RawPixelPca::kSide &&
                      images[i].height == RawPixelPca::kSide,
                  "images come at the view's input size");
      internal::raw_pixels(images[i],
                           pixels.row(static_cast<Eigen::Index>(i)).data());
    }
    pixels.rowwise() -= basis_.mean.row(0);
    return Matrix(pixels * basis_.components.transpose());
  }

 private:
  ViewSpec spec_;
  Basis basis_;
};

/// The kDim principal axes of the centred rows of `x`, by falling variance.
/// Axes without variance are zero; signs make the largest weight positive.
Eigen::MatrixXd principal_axes(const Eigen::MatrixXd& x) {
  // With fewer samples than pixels the Gram matrix is the smaller problem
  // with the same axes.
  const bool dual = x.rows() < x.cols();
  const Eigen::MatrixXd product = dual ? Eigen::MatrixXd(x * x.transpose())
                                       : Eigen::MatrixXd(x.transpose() * x);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(product);
  const auto& values = solver.eigenvalues();  // rising
  Eigen::MatrixXd axes = Eigen::MatrixXd::Zero(kDim, x.cols());
  const double noise = 1e-10 * std::max(values.maxCoeff(), 1e-300);
  for (int i = 0; i < kDim; ++i) {
    const Eigen::Index from = values.size() - 1 - i;
    if (values[from] <= noise) break;
    Eigen::VectorXd axis = solver.eigenvectors().col(from);
    if (dual) axis = (x.transpose() * axis).normalized().eval();
    Eigen::Index largest = 0;
    axis.cwiseAbs().maxCoeff(&largest);
    axes.row(i) = (axis[largest] < 0 ? -axis : axis).transpose();
  }
  return axes;
}

Result<Matrix> read_matrix(const SafetensorsFile& file, const std::string& name,
                           const std::vector<std::int64_t>& shape) {
  const auto place = file.tensors().find(name);
  if (place == file.tensors().end() || place->second.shape != shape ||
      place->second.type != TensorType::kFloat32) {
    return corruption(fmt::format("tensor {} of F32 [{}] is missing", name,
                                  fmt::join(shape, ", ")));
  }
  Matrix matrix(shape.size() == 1 ? 1 : shape.front(), shape.back());
  std::memcpy(matrix.data(), place->second.bytes.data(),
              place->second.bytes.size());
  if (!matrix.allFinite()) {
    return corruption("tensor " + name + " has values that are not finite");
  }
  return matrix;
}

}  // namespace

Result<std::unique_ptr<View>> RawPixelPca::fit(
    const std::vector<Image>& images) {
  constexpr std::size_t kMinImages = 2 * std::size_t{kDim};
  if (images.size() < kMinImages) {
    return invalid_argument(
        fmt::format("rp_pca learns from at least {} images; there are {}",
                    kMinImages, images.size()));
  }
  Matrix pixels(static_cast<Eigen::Index>(images.size()), kPixels);
  for (std::size_t i = 0; i < images.size(); ++i) {
    internal::raw_pixels(resize_image(images[i], kSide, kSide),
                         pixels.row(static_cast<Eigen::Index>(i)).data());
  }
  Eigen::MatrixXd centred = pixels.cast<double>();
  const Eigen::RowVectorXd mean = centred.colwise().mean();
  centred.rowwise() -= mean;
  Basis basis;
  basis.mean = mean.cast<float>();
  basis.components = principal_axes(centred).cast<float>();
  return std::unique_ptr<View>(
      std::make_unique<RawPixelPcaView>(std::move(basis)));
}

Result<void> RawPixelPca::save(const View& view,
                               const std::filesystem::path& file) {
  const auto* const pca = dynamic_cast<const RawPixelPcaView*>(&view);
  if (pca == nullptr) {
    return invalid_argument("view " + view.spec().name + " is not rp_pca");
  }
  const Basis& basis = pca->basis();
  return write_safetensors(
      file,
      {{"mean", {kPixels}, basis.mean.data()},
       {"components", {kDim, kPixels}, basis.components.data()}},
      {{"view", "rp_pca"}});
}

Result<std::unique_ptr<View>> RawPixelPca::load(
    const std::filesystem::path& file) {
  SHOAL_TRY(weights, SafetensorsFile::open(file));
  const auto read = [&]() -> Result<Basis> {
    Basis basis;
    SHOAL_TRY(mean, read_matrix(*weights, "mean", {kPixels}));
    SHOAL_TRY(components, read_matrix(*weights, "components", {kDim, kPixels}));
    basis.mean = std::move(mean);
    basis.components = std::move(components);
    return basis;
  };
  auto basis = read();
  if (!basis) return basis.error().within(file.string());
  return std::unique_ptr<View>(
      std::make_unique<RawPixelPcaView>(std::move(basis).value()));
}

}  // namespace shoal
