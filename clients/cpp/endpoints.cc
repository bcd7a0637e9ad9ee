#include <charconv>

#include "clients/cpp/client.h"

namespace shoal {

Result<Endpoints> Endpoints::from_port_base(int port_base,
                                            std::string_view host) {
  // Four ports follow one another: ingest, query, events, HTTP.
  constexpr int kLastBase = 65'535 - 3;
  if (port_base < 1 || port_base > kLastBase) {
    return invalid_argument("port base " + std::to_string(port_base) +
                            " is outside 1.." + std::to_string(kLastBase));
  }
  const auto at = [&](int offset) {
    return "tcp://" + std::string(host) + ":" +
           std::to_string(port_base + offset);
  };
  return Endpoints{at(0), at(1), at(2)};
}

Result<Endpoints> Endpoints::parse(std::string_view text) {
  constexpr std::string_view kScheme = "tcp://";
  const Error bad = invalid_argument("'" + std::string(text) +
                                     "' is not tcp://HOST or tcp://HOST:PORT");
  if (text.substr(0, kScheme.size()) != kScheme) return bad;
  std::string_view host = text.substr(kScheme.size());
  int port_base = kDefaultPortBase;
  const std::size_t colon = host.rfind(':');
  // The colons of an IPv6 address stand in brackets.
  if (colon != std::string_view::npos &&
      host.find(']', colon) == std::string_view::npos) {
    const std::string_view port = host.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(port.data(), port.data() + port.size(), port_base);
    if (error != std::errc{} || end != port.data() + port.size()) return bad;
    host = host.substr(0, colon);
  }
  if (host.empty()) return bad;
  return from_port_base(port_base, host);
}

}  // namespace shoal
