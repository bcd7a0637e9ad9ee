#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"

namespace shoal {

/// A request as handlers see it. Immutable while handled.
struct HttpRequest {
  std::string method;  ///< "GET" (also for HEAD), "POST", ...
  std::string path;    ///< decoded, without the query: "/thumb/cam 1/a"
  /// What follows a prefix route's prefix, decoded: "cam 1/a".
  std::string rest;
  /// Query parameters, decoded; of a name given twice the last one counts.
  std::map<std::string, std::string> parameters;
  /// Header fields, names in lower case; of repeated fields the last one.
  std::map<std::string, std::string> headers;
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  /// Further header fields; not Content-Length, Content-Type or Connection.
  std::vector<std::pair<std::string, std::string>> headers;
};

[[nodiscard]] HttpResponse http_text(int status, std::string text);
/// @param json  serialised
[[nodiscard]] HttpResponse http_json(int status, std::string json);

/// A request target taken apart.
struct HttpTarget {
  std::string path;
  std::map<std::string, std::string> parameters;
};
/// Decodes "/a%20b?x=1&y=a+b". Errors: kInvalidArgument when it does not start
/// with '/' or holds a broken %-sequence or a NUL.
[[nodiscard]] Result<HttpTarget> parse_http_target(std::string_view target);

}  // namespace shoal
