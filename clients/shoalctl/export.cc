#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <system_error>
#include <utility>

#include "clients/protocol/fields.h"
#include "clients/shoalctl/commands.h"
#include "clients/shoalctl/output.h"
#include "common/ids.h"

namespace shoal::ctl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Calls `visit` with {id, cluster, name, state, confidence} of every image
/// that has left the pending state, cluster by cluster, the unassigned last.
Result<void> for_each_image(
    Session& session, const std::function<Result<void>(const json&)>& visit) {
  SHOAL_TRY(before, session.call("clusters"));
  const auto visit_members = [&](std::optional<std::uint64_t> cluster,
                                 const json& name) -> Result<void> {
    return for_each_member(
        session, cluster, [&](const json& member) -> Result<bool> {
          json row = member;
          row["cluster"] = cluster.has_value() ? json(*cluster) : json(nullptr);
          row["name"] = name;
          SHOAL_TRY(visit(row));
          return true;
        });
  };
  for (const json& cluster : before.value("clusters", json::array())) {
    const auto number =
        required("cluster", optional_number(cluster, "cluster"));
    if (number.has_error()) return invalid_argument(number.error().message);
    SHOAL_TRY(visit_members(number.value(), cluster.value("name", json())));
  }
  SHOAL_TRY(visit_members(std::nullopt, nullptr));
  SHOAL_TRY(after, session.call("clusters"));
  if (before.value("epoch", json()) != after.value("epoch", json())) {
    return Error{ErrorCode::kFailedPrecondition,
                 "an epoch was published during the export, which may have "
                 "missed or doubled images that moved; export again"};
  }
  return ok();
}

/// RFC 4180.
std::string csv_field(const json& value) {
  if (value.is_null()) return "";
  std::string text =
      value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  for (std::size_t at = text.find('"'); at != std::string::npos;
       at = text.find('"', at + 2)) {
    text.insert(at, 1, '"');
  }
  return '"' + text + '"';
}

Result<void> write_rows(Session& session, bool is_csv, std::ostream& out,
                        const std::string& name) {
  constexpr const char* kFields[] = {"id", "cluster", "name", "state",
                                     "confidence"};
  if (is_csv) out << "id,cluster,name,state,confidence\r\n";
  SHOAL_TRY(for_each_image(session, [&](const json& row) -> Result<void> {
    if (is_csv) {
      std::string line;
      for (const char* const field : kFields) {
        if (!line.empty() || field != kFields[0]) line += ',';
        line += csv_field(row.value(field, json()));
      }
      out << line << "\r\n";
    } else {
      out << row.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
    }
    if (!out) return io_error("write " + name + " failed");
    return ok();
  }));
  out.flush();
  if (!out) return io_error("write " + name + " failed");
  return ok();
}

/// `text` as the name of a file: no separators, not hidden, and different for
/// different texts. Longer than most file systems allow: its SHA-256.
std::string file_name(std::string_view text) {
  constexpr std::size_t kMaxBytes = 200;
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '%' ||
        (i == 0 && byte == '.')) {
      name += '%';
      name += kHex[byte >> 4U];
      name += kHex[byte & 15U];
    } else {
      name += text[i];
    }
  }
  return name.size() <= kMaxBytes ? name : ImageId::of_bytes(text).str();
}

std::string extension(const std::string& format) {
  return format == "jpeg" ? ".jpg" : "." + file_name(format);
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         text.substr(text.size() - end.size()) == end;
}

/// A path in `folder` that is not taken: the ids "a" and "a.jpg" both ask for
/// a.jpg.
fs::path free_path(const fs::path& folder, const std::string& id,
                   const std::string& suffix) {
  std::string stem = file_name(id);
  if (ends_with(stem, suffix)) stem.resize(stem.size() - suffix.size());
  fs::path path = folder / (stem + suffix);
  for (int i = 2; fs::exists(path); ++i) {
    const std::string number = "~" + std::to_string(i);
    path = folder / (stem + number + suffix);
  }
  return path;
}

std::string folder_name(const json& row) {
  const json cluster = row.value("cluster", json());
  if (cluster.is_null()) return "unassigned";
  const json name = row.value("name", json());
  std::string text = "cluster-" + cluster.dump();
  if (name.is_string() && !name.get_ref<const std::string&>().empty()) {
    text += "-" + name.get<std::string>();
  }
  return file_name(text);
}

Result<void> write_image(Session& session, const json& row,
                         const fs::path& out) {
  const auto id =
      required("id", optional_string(row, "id", ImageId::kMaxBytes));
  if (id.has_error()) return invalid_argument(id.error().message);
  SHOAL_TRY(reply, session.call("bytes", {{"id", id.value()}}));
  const auto bytes = required("image", optional_bytes(reply, "image"));
  if (bytes.has_error()) return invalid_argument(bytes.error().message);
  const auto format = required("format", optional_string(reply, "format", 32));
  if (format.has_error()) return invalid_argument(format.error().message);

  const fs::path folder = out / folder_name(row);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return io_error("make folder " + folder.string() + ": " + error.message());
  }
  const fs::path path =
      free_path(folder, id.value(), extension(format.value()));
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.value().data(),
             static_cast<std::streamsize>(bytes.value().size()));
  file.close();
  if (!file) return io_error("write " + path.string() + " failed");
  return ok();
}

/// One folder per cluster with its images' files.
Result<void> write_folders(Session& session, const fs::path& out) {
  std::error_code error;
  if (fs::exists(out, error) && !fs::is_empty(out, error)) {
    return already_exists(out.string() +
                          " is not empty; give a new or an empty folder");
  }
  std::size_t written = 0;
  SHOAL_TRY(for_each_image(session, [&](const json& row) -> Result<void> {
    SHOAL_TRY(write_image(session, row, out));
    ++written;
    return ok();
  }));
  print_message(std::to_string(written) + " images in " + out.string());
  return ok();
}

}  // namespace

Result<ExitCode> export_all(Session& session, const ExportCommand& command) {
  if (command.format == "folders") {
    if (command.out.empty()) {
      print_message("export --format folders needs --out FOLDER");
      return ExitCode::kUsage;
    }
    SHOAL_TRY(write_folders(session, command.out));
    return ExitCode::kDone;
  }
  const bool is_csv = command.format == "csv";
  if (command.out.empty()) {
    SHOAL_TRY(write_rows(session, is_csv, std::cout, "standard output"));
    return ExitCode::kDone;
  }
  std::ofstream file(command.out, std::ios::binary);
  if (!file) return io_error("cannot write " + command.out);
  SHOAL_TRY(write_rows(session, is_csv, file, command.out));
  return ExitCode::kDone;
}

}  // namespace shoal::ctl
