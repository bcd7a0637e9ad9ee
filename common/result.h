#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/terminate.hpp>
#include <boost/outcome/try.hpp>

namespace shoal {

/// Why an operation failed, for code that must react to it. The message says
/// what, where and what to do; the code only says which kind.
enum class ErrorCode {
  /// The caller's input is wrong and stays wrong. Not for a state that may
  /// change (kFailedPrecondition) nor for damaged files (kCorruption).
  kInvalidArgument,
  /// The named thing does not exist. Not for an empty result, which is no
  /// error.
  kNotFound,
  /// The thing exists already, with other content.
  kAlreadyExists,
  /// Right request, wrong state (no epoch yet, a run is in progress).
  kFailedPrecondition,
  /// A limit was met: queue full, too large. Retrying later helps unless the
  /// message says that the input itself is too large. Not for the disk.
  kResourceExhausted,
  /// The disk is full. Helps: making room.
  kStorageFull,
  /// Understood, but not something this build can do (an image format, an
  /// architecture).
  kUnsupported,
  /// Stored or supplied bytes break their own format.
  kCorruption,
  /// The operating system refused: file, socket, process.
  kIo,
  /// The peer or a subsystem is not there (yet).
  kUnavailable,
  /// Stopped on request.
  kCancelled,
  /// Took longer than allowed.
  kDeadlineExceeded,
  /// The caller may not do this.
  kPermissionDenied,
  /// A library failed in a way that no input should cause. Not for our own
  /// bugs: those are SHOAL_CHECK.
  kInternal,
};

/// "invalid_argument" and so on: the form used in logs and replies.
[[nodiscard]] std::string_view to_string(ErrorCode code);

/// An expected failure. Immutable value.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  /// The same error with `context` and ": " before its message.
  [[nodiscard]] Error within(std::string_view context) const {
    return Error{code, std::string(context) + ": " + message};
  }
};

/// A value or an Error. Asking an errored result for its value ends the
/// process (our bug). `return Error{...};` and `return value;` both convert.
template <typename T>
using Result = BOOST_OUTCOME_V2_NAMESPACE::basic_result<
    T, Error, BOOST_OUTCOME_V2_NAMESPACE::policy::terminate>;

/// The success of a Result<void>.
inline auto ok() { return BOOST_OUTCOME_V2_NAMESPACE::success(); }

[[nodiscard]] inline Error invalid_argument(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message)};
}
[[nodiscard]] inline Error not_found(std::string message) {
  return {ErrorCode::kNotFound, std::move(message)};
}
[[nodiscard]] inline Error already_exists(std::string message) {
  return {ErrorCode::kAlreadyExists, std::move(message)};
}
[[nodiscard]] inline Error failed_precondition(std::string message) {
  return {ErrorCode::kFailedPrecondition, std::move(message)};
}
[[nodiscard]] inline Error resource_exhausted(std::string message) {
  return {ErrorCode::kResourceExhausted, std::move(message)};
}
[[nodiscard]] inline Error storage_full(std::string message) {
  return {ErrorCode::kStorageFull, std::move(message)};
}
[[nodiscard]] inline Error unsupported(std::string message) {
  return {ErrorCode::kUnsupported, std::move(message)};
}
[[nodiscard]] inline Error corruption(std::string message) {
  return {ErrorCode::kCorruption, std::move(message)};
}
[[nodiscard]] inline Error io_error(std::string message) {
  return {ErrorCode::kIo, std::move(message)};
}
[[nodiscard]] inline Error unavailable(std::string message) {
  return {ErrorCode::kUnavailable, std::move(message)};
}
[[nodiscard]] inline Error internal_error(std::string message) {
  return {ErrorCode::kInternal, std::move(message)};
}

/// An io_error whose message ends with the text of errno value `error_number`.
[[nodiscard]] Error errno_error(std::string_view what, int error_number);

}  // namespace shoal

/// `SHOAL_TRY(name, expression)` declares `name` as the value of a Result
/// expression or returns its error; with one argument it only checks.
#define SHOAL_TRY(...) BOOST_OUTCOME_TRY(__VA_ARGS__)
