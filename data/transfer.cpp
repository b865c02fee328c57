#include "data/transfer.h"

#include <curl/curl.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace alma {
namespace {

using Next = TransferEnd::Next;

struct FreeCurl {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
using Curl = std::unique_ptr<CURL, FreeCurl>;

Curl make_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  Curl curl(started == CURLE_OK ? curl_easy_init() : nullptr);
  if (!curl) fail("[download] libcurl cannot start");
  return curl;
}

template <class Value>
void set(CURL* curl, CURLoption option, Value value) {
  if (const CURLcode code = curl_easy_setopt(curl, option, value); code != CURLE_OK)
    fail("[download] libcurl refuses option ", option, ": ", curl_easy_strerror(code));
}

/// Whether another attempt at the same server may succeed.
bool passes(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return true;
    default: return false;
  }
}

class Request {
 public:
  Request(const std::string& url, const Download& wanted, PartFile& part, const DownloadPatience& patience,
          const TransferWatch& watch)
      : wanted_(wanted), part_(part), patience_(patience), watch_(watch), curl_(make_curl()) {
    CURL* curl = curl_.get();
    set(curl, CURLOPT_URL, url.c_str());
    set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    set(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    set(curl, CURLOPT_FOLLOWLOCATION, 1L);
    set(curl, CURLOPT_MAXREDIRS, 10L);
    set(curl, CURLOPT_USERAGENT, "alma");
    set(curl, CURLOPT_NOSIGNAL, 1L);
    set(curl, CURLOPT_CONNECTTIMEOUT, static_cast<long>(patience.connect_seconds));
    set(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
    set(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(patience.stall_seconds));
    set(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
    set(curl, CURLOPT_ERRORBUFFER, message_);
    // Not CURLOPT_RESUME_FROM: with that, a server that sends the whole file instead of the range is an error.
    if (part.bytes() > 0) set(curl, CURLOPT_RANGE, (std::to_string(part.bytes()) + "-").c_str());
    set(curl, CURLOPT_HEADERFUNCTION, &Request::on_header);
    set(curl, CURLOPT_HEADERDATA, this);
    set(curl, CURLOPT_WRITEFUNCTION, &Request::on_body);
    set(curl, CURLOPT_WRITEDATA, this);
    set(curl, CURLOPT_XFERINFOFUNCTION, &Request::on_progress);
    set(curl, CURLOPT_XFERINFODATA, this);
    set(curl, CURLOPT_NOPROGRESS, 0L);
  }

  TransferEnd run() {
    const CURLcode code = curl_easy_perform(curl_.get());
    if (error_) std::rethrow_exception(error_);
    if (end_.next != Next::accept) return end_;
    // A response that is not accepted ends as a write error.
    if (code != CURLE_OK && (code != CURLE_WRITE_ERROR || status() == 200 || status() == 206))
      return {passes(code) ? Next::retry : Next::give_up, *message_ ? message_ : curl_easy_strerror(code)};
    return judge(status());
  }

 private:
  // Exceptions must not pass through the C library: it sees a throwing work() as a failure, and run()
  // rethrows the exception.
  template <class Result, class Work>
  Result guarded(Result failure, const Work& work) {
    try {
      return work();
    } catch (...) {
      error_ = std::current_exception();
      return failure;
    }
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t bytes, void* self) {
    Request& request = *static_cast<Request*>(self);
    return request.guarded(std::size_t{0}, [&] {
      request.read_header({data, bytes});
      return bytes;
    });
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t bytes, void* self) {
    Request& request = *static_cast<Request*>(self);
    return request.guarded(std::size_t{0}, [&] {
      return request.take({reinterpret_cast<const std::uint8_t*>(data), bytes}) ? bytes : std::size_t{0};
    });
  }

  static int on_progress(void* self, curl_off_t, curl_off_t received, curl_off_t, curl_off_t) {
    Request& request = *static_cast<Request*>(self);
    return request.guarded(1, [&] { return request.go_on(received) ? 0 : 1; });
  }

  /// Called about once a second, whether something arrives or not.
  bool go_on(std::int64_t received) {
    if (watch_.stop && watch_.stop()) {
      end_ = {Next::stop, "", false};
      return false;
    }
    const double now = steady_seconds();
    if (received != received_ || last_byte_ == 0) {
      received_ = received;
      last_byte_ = now;
      told_ = false;
    } else if (!told_ && now - last_byte_ >= patience_.quiet_seconds) {
      told_ = true;
      if (watch_.say)
        watch_.say(wanted_.file + ": no data from the server for " + std::to_string(patience_.quiet_seconds) +
                   " s; giving up after " + std::to_string(patience_.stall_seconds) + " s");
    }
    return true;
  }

  long status() const {
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  void read_header(std::string_view line) {
    const std::string text(line);
    long long first = 0, total = 0;
    if (text.compare(0, 5, "HTTP/") == 0) {  // of the next response, after a redirect
      first_ = total_ = -1;
    } else if (curl_strnequal(text.c_str(), "Content-Range:", 14)) {
      if (std::sscanf(text.c_str() + 14, " bytes %lld-%*[0-9]/%lld", &first, &total) == 2) {
        first_ = first;
        total_ = total;
      } else if (std::sscanf(text.c_str() + 14, " bytes %lld-", &first) == 1) {
        first_ = first;
      } else if (std::sscanf(text.c_str() + 14, " bytes */%lld", &total) == 1) {
        total_ = total;
      }
    }
  }

  bool refuse(Next next, std::string reason) {
    end_ = {next, std::move(reason), false};
    return false;
  }

  /// Prepares the part file for the body; returns false if the response is not accepted.
  bool begin() {
    begun_ = true;
    const long code = status();
    if (code != 200 && code != 206) return false;
    if (code == 200) {
      curl_off_t length = -1;
      curl_easy_getinfo(curl_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
      total_ = length;
    }
    if (total_ > wanted_.limit) return refuse(Next::give_up, "announces " + std::to_string(total_) + " bytes" + at_most());
    const std::int64_t there = part_.bytes();
    if (code == 200 || first_ != there) part_.restart();
    if (code == 206 && first_ != there)
      return refuse(Next::retry, "sends a range other than the one from byte " + std::to_string(there) + " on");
    end_.joined = part_.bytes() > 0;
    return true;
  }

  std::string at_most() const { return ", expected at most " + std::to_string(wanted_.limit); }

  bool take(std::span<const std::uint8_t> piece) {
    if (!begun_ && !begin()) return false;
    if (part_.bytes() + static_cast<std::int64_t>(piece.size()) > wanted_.limit) {
      part_.restart();
      return refuse(Next::give_up, "sends too many bytes" + at_most());
    }
    part_.append(piece);
    if (watch_.progress) watch_.progress(wanted_.file, part_.bytes(), total_);
    return true;
  }

  TransferEnd judge(long code) {
    const std::string text = "HTTP status " + std::to_string(code);
    if (code == 200 || code == 206) {
      if (!begun_ && !begin()) return end_;  // an empty body
      if (total_ < 0 || part_.bytes() == total_) return end_;
      return {Next::retry, "ends after " + std::to_string(part_.bytes()) + " of " + std::to_string(total_) + " bytes"};
    }
    if (code == 416 && part_.bytes() > 0) {  // the server has nothing after these bytes
      if (total_ == part_.bytes()) return {Next::accept, "", true};
      part_.restart();
      return {Next::retry, text + ": its file is shorter than the part that is already here"};
    }
    const bool may_pass = code == 408 || code == 429 || code >= 500;
    return {may_pass ? Next::retry : Next::give_up, text};
  }

  const Download& wanted_;
  PartFile& part_;
  const DownloadPatience& patience_;
  const TransferWatch& watch_;
  Curl curl_;
  char message_[CURL_ERROR_SIZE] = "";
  bool begun_ = false;                    // the body of the last response
  std::int64_t first_ = -1, total_ = -1;  // of the last Content-Range; total_ also of a whole file
  std::int64_t received_ = 0;             // bytes, and when the last of them came
  double last_byte_ = 0;
  bool told_ = false;  // that nothing comes any more
  TransferEnd end_;
  std::exception_ptr error_;
};

}  // namespace

TransferEnd transfer(const std::string& url, const Download& wanted, PartFile& part, const DownloadPatience& patience,
                     const TransferWatch& watch) {
  return Request(url, wanted, part, patience, watch).run();
}

}  // namespace alma
