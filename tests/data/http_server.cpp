#include "tests/data/http_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace alma::test {
namespace {

bool send_all(int connection, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t sent = ::send(connection, data, bytes, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    bytes -= static_cast<std::size_t>(sent);
  }
  return true;
}

std::string read_head(int connection) {
  std::string head;
  char piece[4096];
  while (head.find("\r\n\r\n") == head.npos) {
    const ssize_t got = ::recv(connection, piece, sizeof piece, 0);
    if (got <= 0) return "";
    head.append(piece, static_cast<std::size_t>(got));
  }
  return head;
}

std::string header_value(const std::string& head, const std::string& name) {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == head.npos) return "";
  const std::size_t begin = at + 2 + name.size() + 2;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

}  // namespace

HttpServer::HttpServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("cannot listen on 127.0.0.1");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_connections(); });
}

HttpServer::~HttpServer() {
  closing_ = true;
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
  ::close(listener_);
}

void HttpServer::serve(const std::string& path, std::vector<Reply> replies) {
  const std::lock_guard lock(mutex_);
  replies_[path] = std::move(replies);
}

void HttpServer::serve(const std::string& path, const Bytes& body) {
  Reply reply;
  reply.body = body;
  serve(path, {reply});
}

std::vector<HttpServer::Request> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::accept_connections() {
  while (!closing_) {
    pollfd waiting{listener_, POLLIN, 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    const std::lock_guard lock(mutex_);
    connections_.emplace_back([this, connection] {
      answer(connection);
      ::shutdown(connection, SHUT_WR);
      ::close(connection);
    });
  }
}

Reply HttpServer::next_reply(const Request& request) {
  const std::lock_guard lock(mutex_);
  requests_.push_back(request);
  const auto found = replies_.find(request.path);
  if (found == replies_.end()) {
    Reply none;
    none.status = 404;
    none.body = {'n', 'o', 'n', 'e'};
    return none;
  }
  Reply reply = found->second.front();
  if (found->second.size() > 1) found->second.erase(found->second.begin());
  return reply;
}

void HttpServer::answer(int connection) {
  const std::string head = read_head(connection);
  if (head.empty()) return;
  const std::size_t begin = head.find(' ') + 1;
  const std::string range = header_value(head, "Range");
  Reply reply = next_reply({head.substr(begin, head.find(' ', begin) - begin), range});

  const auto size = static_cast<std::int64_t>(reply.body.size());
  std::int64_t from = 0;
  std::string headers;
  if (reply.status == 200 && reply.ranges && !range.empty()) {
    from = std::stoll(range.substr(6)) + reply.range_shift;
    reply.status = from < size ? 206 : 416;
    headers = "Content-Range: bytes " +
              (from < size ? std::to_string(from) + "-" + std::to_string(size - 1) : std::string("*")) + "/" +
              std::to_string(size) + "\r\n";
    from = std::min(from, size);
  }
  if (reply.length) headers += "Content-Length: " + std::to_string(reply.declared.value_or(size - from)) + "\r\n";
  for (const std::string& header : reply.headers) headers += header + "\r\n";
  headers = "HTTP/1.1 " + std::to_string(reply.status) + " As told\r\nConnection: close\r\n" + headers + "\r\n";
  if (send_all(connection, headers.data(), headers.size())) send_body(connection, reply, static_cast<std::size_t>(from));
}

void HttpServer::send_body(int connection, const Reply& reply, std::size_t from) {
  const auto nap = [](int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); };
  std::size_t left = reply.body.size() - from;
  if (reply.send >= 0) left = std::min(left, static_cast<std::size_t>(reply.send));
  const std::size_t piece = reply.bytes_per_second > 0 ? std::max(reply.bytes_per_second / 50, 1) : 1 << 16;
  do {
    const auto* data = reinterpret_cast<const char*>(reply.body.data());
    for (std::size_t at = from, rest = left; rest > 0 && !closing_;) {
      const std::size_t bytes = std::min(piece, rest);
      if (!send_all(connection, data + at, bytes)) return;
      at += bytes;
      rest -= bytes;
      if (reply.bytes_per_second > 0) nap(20);
    }
  } while (reply.endless && !closing_);
  while (reply.stall && !closing_) nap(10);
}

}  // namespace alma::test
