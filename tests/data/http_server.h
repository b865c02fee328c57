#pragma once
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/data/files.h"

namespace alma::test {

/// How the server answers a request; by default as a good server does.
struct Reply {
  int status = 200;
  Bytes body = {};
  std::vector<std::string> headers = {};      // more of them: "Location: ..."
  bool ranges = true;                         // obeys Range
  std::int64_t range_shift = 0;               // a range begins so many bytes later than asked for
  bool length = true;                         // announces it; otherwise closing the connection ends the body
  std::optional<std::int64_t> declared = {};  // the length announced instead of the true one
  std::int64_t send = -1;                     // breaks off after so many bytes of this response; -1: sends all
  bool stall = false;                         // where it breaks off, nothing comes any more, and the connection stays open
  bool endless = false;                       // repeats the body for ever
  int bytes_per_second = 0;                   // 0: as fast as possible
};

/// A web server on 127.0.0.1 that answers as it is told to. Whatever is not served is a 404.
class HttpServer {
 public:
  struct Request {
    std::string path, range;  // range: "bytes=5-", or empty
  };

  HttpServer();
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// "http://127.0.0.1:PORT".
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// Answers requests for a path ("/mnist/file.gz") with these replies, one after the other; the last one stays.
  void serve(const std::string& path, std::vector<Reply> replies);
  void serve(const std::string& path, const Bytes& body);
  /// Those that came so far, in order.
  std::vector<Request> requests() const;

 private:
  void accept_connections();
  void answer(int connection);
  Reply next_reply(const Request& request);
  void send_body(int connection, const Reply& reply, std::size_t from);

  int listener_ = -1, port_ = 0;
  std::atomic<bool> closing_{false};
  mutable std::mutex mutex_;  // of what follows
  std::map<std::string, std::vector<Reply>> replies_;
  std::vector<Request> requests_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace alma::test
