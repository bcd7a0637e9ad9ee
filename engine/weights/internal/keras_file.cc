#include "engine/weights/internal/keras_file.h"

#include <cstdint>
#include <cstring>
#include <hdf5.h>
#include <system_error>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace shoal::internal {
namespace {

constexpr std::size_t kMaxNames = 10'000;
constexpr std::size_t kMaxNameBytes = 1'000;
constexpr int kMaxAxes = 8;

/// An HDF5 handle and how it is closed.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  [[nodiscard]] bool valid() const { return id_ >= 0; }
  [[nodiscard]] hid_t get() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// The library prints every error unless told not to, and loads filters from
/// files that the environment names.
void quiet_library() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
}

/// Errors: kUnsupported when a part of `path` leads out of the file.
Result<void> check_links(hid_t group, const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string head = path.substr(0, end);
    H5L_info_t link;
    if (H5Lget_info(group, head.c_str(), &link, H5P_DEFAULT) < 0) {
      return corruption(head + " is missing");
    }
    if (link.type != H5L_TYPE_HARD) {
      return unsupported(head + " is a link to elsewhere");
    }
    if (end == std::string::npos) return ok();
  }
}

Result<Handle> open_group(hid_t parent, const std::string& path) {
  SHOAL_TRY(check_links(parent, path));
  Handle group(H5Gopen2(parent, path.c_str(), H5P_DEFAULT), H5Gclose);
  if (!group.valid()) return corruption(path + " is no group");
  return group;
}

/// The group that has the layers' groups: Model.save puts them below one of
/// their own.
Result<Handle> open_root(hid_t file) {
  constexpr const char* kModelWeights = "model_weights";
  if (H5Lexists(file, kModelWeights, H5P_DEFAULT) > 0) {
    return open_group(file, kModelWeights);
  }
  Handle root(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose);
  if (!root.valid()) return corruption("it has no root group");
  return root;
}

/// The strings of variable length that `attribute` holds.
Result<std::vector<std::string>> read_pointers(hid_t attribute, hid_t space,
                                               std::size_t count) {
  const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose);
  const Handle type(H5Aget_type(attribute), H5Tclose);
  H5Tset_size(memory.get(), H5T_VARIABLE);
  H5Tset_cset(memory.get(), H5Tget_cset(type.get()));
  std::vector<char*> pointers(count);
  if (H5Aread(attribute, memory.get(), pointers.data()) < 0) {
    return corruption("it cannot be read");
  }
  std::vector<std::string> names;
  for (const char* pointer : pointers) {
    names.emplace_back(pointer == nullptr ? "" : pointer);
  }
  H5Dvlen_reclaim(memory.get(), space, H5P_DEFAULT, pointers.data());
  return names;
}

Result<std::vector<std::string>> read_fixed(hid_t attribute, hid_t type,
                                            std::size_t count) {
  const std::size_t width = H5Tget_size(type);
  if (width == 0 || width > kMaxNameBytes) {
    return corruption("its names are too long");
  }
  std::string bytes(width * count, '\0');
  if (H5Aread(attribute, type, bytes.data()) < 0) {
    return corruption("it cannot be read");
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    std::string name = bytes.substr(i * width, width);
    name.resize(std::strlen(name.c_str()));
    names.push_back(std::move(name));
  }
  return names;
}

/// A list of texts kept as attribute `name`.
Result<std::vector<std::string>> read_names(hid_t object,
                                            const std::string& name) {
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  if (!attribute.valid()) return invalid_argument("it is missing");
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  const Handle space(H5Aget_space(attribute.get()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  if (count == 0) return std::vector<std::string>{};
  if (count < 0 || static_cast<std::size_t>(count) > kMaxNames) {
    return corruption("it does not hold a sensible number of names");
  }
  // An empty list is written as an empty list of numbers.
  if (H5Tget_class(type.get()) != H5T_STRING) {
    return corruption("it does not hold texts");
  }
  const auto names = static_cast<std::size_t>(count);
  return H5Tis_variable_str(type.get()) > 0
             ? read_pointers(attribute.get(), space.get(), names)
             : read_fixed(attribute.get(), type.get(), names);
}

/// Reads one data set whose bytes lie in the file as they are.
Result<StoredTensor> read_dataset(hid_t group, const std::string& path,
                                  std::uint64_t file_bytes,
                                  std::deque<std::vector<float>>& data) {
  SHOAL_TRY(check_links(group, path));
  const Handle set(H5Dopen2(group, path.c_str(), H5P_DEFAULT), H5Dclose);
  if (!set.valid()) return corruption("it is no data set");
  const Handle plist(H5Dget_create_plist(set.get()), H5Pclose);
  if (H5Pget_layout(plist.get()) != H5D_CONTIGUOUS ||
      H5Pget_external_count(plist.get()) != 0) {
    return unsupported("it is chunked, compressed or kept in another file");
  }
  const Handle type(H5Dget_type(set.get()), H5Tclose);
  if (H5Tget_class(type.get()) != H5T_FLOAT) {
    return unsupported("it holds something else than floating point");
  }
  const Handle space(H5Dget_space(set.get()), H5Sclose);
  const int axes = H5Sget_simple_extent_ndims(space.get());
  if (axes < 0 || axes > kMaxAxes) return corruption("it has too many axes");
  std::vector<hsize_t> sides(static_cast<std::size_t>(axes));
  H5Sget_simple_extent_dims(space.get(), sides.data(), nullptr);
  std::uint64_t count = 1;
  std::vector<std::int64_t> shape;
  for (const hsize_t side : sides) {
    if (side != 0 && count > file_bytes / side) {
      return corruption("its shape is larger than the file");
    }
    count *= side;
    shape.push_back(static_cast<std::int64_t>(side));
  }
  if (count * H5Tget_size(type.get()) > H5Dget_storage_size(set.get()) ||
      H5Dget_storage_size(set.get()) > file_bytes) {
    return corruption("its shape is larger than what is stored");
  }
  std::vector<float>& values = data.emplace_back(count);
  if (count != 0 && H5Dread(set.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL,
                            H5P_DEFAULT, values.data()) < 0) {
    return corruption("it cannot be read; the file may be cut short");
  }
  return contiguous_tensor(
      ElementType::kFloat32, std::move(shape),
      {reinterpret_cast<const char*>(values.data()), count * sizeof(float)});
}

}  // namespace

Result<KerasFile> read_keras_file(const std::filesystem::path& path) {
  quiet_library();
  std::error_code error;
  const std::uint64_t file_bytes = std::filesystem::file_size(path, error);
  if (error) return io_error("read its size: " + error.message());
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT),
                    H5Fclose);
  if (!file.valid()) {
    return corruption("the HDF5 library cannot open it; it may be cut short");
  }
  SHOAL_TRY(root, open_root(file.get()));
  auto layers = read_names(root.get(), "layer_names");
  if (!layers) {
    return layers.error().within(
        "attribute layer_names, which Keras weights have");
  }
  KerasFile read;
  std::uint64_t total = 0;
  for (const std::string& name : layers.value()) {
    SHOAL_TRY(group, open_group(root.get(), name));
    auto weight_names = read_names(group.get(), "weight_names");
    if (!weight_names) {
      return weight_names.error().within("weight_names of layer " + name);
    }
    KerasLayer layer;
    layer.name = name;
    for (const std::string& weight : weight_names.value()) {
      auto tensor = read_dataset(group.get(), weight, file_bytes, read.data);
      if (!tensor) {
        return tensor.error().within(
            fmt::format("{} of layer {}", weight, name));
      }
      total += tensor.value().bytes.size();
      // Names may lead to one data set again and again; half-precision files
      // grow to twice their size.
      if (total > 2 * file_bytes) {
        return corruption("its layers share their data");
      }
      layer.weight_names.push_back(weight);
      layer.weights.push_back(std::move(tensor).value());
    }
    if (!layer.weights.empty()) read.layers.push_back(std::move(layer));
  }
  return read;
}

}  // namespace shoal::internal
