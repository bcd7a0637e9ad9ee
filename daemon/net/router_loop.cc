#include "daemon/net/router_loop.h"

#include <iterator>
#include <utility>

#include "daemon/net/socket.h"

namespace shoal {
namespace {

// Messages read before replies are looked after: neither side can starve the
// other.
constexpr int kMessagesPerTurn = 64;

}  // namespace

RouterLoop::RouterLoop(zmq::socket_t socket, Handler handler, Metrics& metrics)
    : socket_(std::move(socket)),
      handler_(std::move(handler)),
      metrics_(metrics) {}

RouterLoop::~RouterLoop() { stop(); }

void RouterLoop::start() {
  thread_ = std::thread([this] { run(); });
}

void RouterLoop::reply(const Peer& peer, std::string body) {
  outbox_.put({peer, std::move(body)});
}

void RouterLoop::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  outbox_.wake();
  thread_.join();
}

void RouterLoop::run() {
  zmq::pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0},
                             {nullptr, outbox_.fd(), ZMQ_POLLIN, 0}};
  while (!stopping_) {
    poll_sockets(items, std::size(items));
    if ((items[0].revents & ZMQ_POLLIN) != 0) {
      for (int i = 0; i < kMessagesPerTurn && handle_message(); ++i) {
      }
    }
    flush_replies();
  }
  flush_replies();
  socket_.close();  // on the thread that used it
}

bool RouterLoop::handle_message() {
  std::vector<zmq::message_t> frames = receive_frames(socket_);
  if (frames.empty()) return false;
  Peer peer;
  peer.name = frames.front().to_string();
  peer.with_delimiter = frames.size() > 1 && frames[1].size() == 0;
  frames.erase(frames.begin(), frames.begin() + (peer.with_delimiter ? 2 : 1));
  handler_(peer, frames);
  return true;
}

void RouterLoop::flush_replies() {
  for (const Outgoing& outgoing : outbox_.take_all()) {
    if (!send_reply(socket_, outgoing.peer, outgoing.body)) {
      metrics_.replies_dropped.Increment();
    }
  }
}

}  // namespace shoal
