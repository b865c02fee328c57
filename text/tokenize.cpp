#include "text/tokenize.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "base/utf8.h"
#include "text/bpe_encoder.h"

namespace alma {

namespace {

/// Pieces that one thread encodes: many short documents, or a part of a long one.
struct Group {
  static constexpr std::size_t kBytes = std::size_t{1} << 19;  // at least, unless the text ends

  std::vector<DocumentPiece> pieces;
  std::vector<std::vector<std::int32_t>> ids;  // of each piece
  std::exception_ptr error;                    // of the first piece that has none
  bool encoded = false;

  void encode(BpeEncoder& encoder, InvalidBytes policy) try {
    ids.reserve(pieces.size());
    for (const DocumentPiece& piece : pieces) {
      std::vector<std::int32_t>& of_piece = ids.emplace_back();
      of_piece.reserve(piece.text.size() / 3);
      encoder.encode(piece.text, of_piece, policy);
    }
  } catch (...) {
    ids.pop_back();
    error = std::current_exception();
  }
};

/// Threads that encode groups, which come back in the order in which they were given.
class Encoders {
 public:
  /// With one thread, groups are encoded where they are given.
  Encoders(const Vocabulary& vocabulary, InvalidBytes policy, int threads) : policy_(policy) {
    encoders_.reserve(static_cast<std::size_t>(threads));
    for (int i = 0; i < threads; ++i) encoders_.push_back(std::make_unique<BpeEncoder>(vocabulary));
    if (threads == 1) return;
    try {
      for (const auto& encoder : encoders_) threads_.emplace_back([this, &encoder] { work(*encoder); });
    } catch (const std::system_error&) {  // the system has no more threads: those that there are do it
    }
  }
  ~Encoders() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    given_.notify_all();
  }
  Encoders(const Encoders&) = delete;
  Encoders& operator=(const Encoders&) = delete;

  /// Whether another group may be given: one for each thread lies ready, and one is in its hands.
  bool has_room() const { return groups_.size() < (threads_.empty() ? 1 : 2 * threads_.size()); }
  bool empty() const { return groups_.empty(); }

  void give(Group group) {
    if (threads_.empty()) {
      group.encode(*encoders_[0], policy_);
      group.encoded = true;
    }
    {
      const std::lock_guard lock(mutex_);
      groups_.push_back(std::make_unique<Group>(std::move(group)));
      if (!threads_.empty()) open_.push_back(groups_.back().get());
    }
    given_.notify_one();
  }
  /// The earliest group, as soon as it is encoded.
  std::unique_ptr<Group> take() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return groups_.front()->encoded; });
    std::unique_ptr<Group> group = std::move(groups_.front());
    groups_.pop_front();
    return group;
  }

 private:
  void work(BpeEncoder& encoder) {
    std::unique_lock lock(mutex_);
    while (true) {
      given_.wait(lock, [this] { return ended_ || !open_.empty(); });
      if (ended_) return;
      Group& group = *open_.front();
      open_.pop_front();
      lock.unlock();
      group.encode(encoder, policy_);
      lock.lock();
      group.encoded = true;
      done_.notify_one();
    }
  }

  InvalidBytes policy_;
  std::vector<std::unique_ptr<BpeEncoder>> encoders_;
  std::mutex mutex_;
  std::condition_variable given_, done_;
  std::deque<std::unique_ptr<Group>> groups_;
  std::deque<Group*> open_;  // those that no thread has yet
  bool ended_ = false;
  std::vector<std::jthread> threads_;  // the last member: they end before the others do
};

/// Throws what encoding a piece threw, with the place in the file.
[[noreturn]] void rethrow_at(const DocumentReader& documents, const DocumentPiece& piece, const std::exception_ptr& error) {
  const std::optional<std::size_t> wrong = first_invalid_utf8(piece.text);
  if (wrong)
    fail(ErrorKind::data, documents.place(piece, *wrong), ": not valid UTF-8: ", shown_bytes(piece.text.substr(*wrong, 1)),
         " before \"", shown_bytes(piece.text.substr(*wrong + 1, 20)),
         "\"; convert the text to UTF-8, or have invalid bytes replaced (--invalid replace)");
  try {
    std::rethrow_exception(error);
  } catch (const Error& known) {
    fail(known.kind(), "near ", documents.place(piece), ": ", known.what());
  }
}

/// Reads the documents that a writer has already.
void pass_over(DocumentReader& documents, const ShardWriter& writer) {
  std::int64_t passed = 0, bytes = 0;
  DocumentPiece piece;
  while (passed < writer.documents() && documents.next(piece)) {
    bytes += std::ssize(piece.text);
    passed += piece.last;
  }
  if (passed != writer.documents() || bytes != writer.text_bytes())
    fail(ErrorKind::data, "the text is not the one that the unfinished corpus was begun with: its first ", passed,
         " documents have ", bytes, " bytes, expected ", writer.documents(), " documents with ", writer.text_bytes(),
         "; give the same files in the same order, or begin under another name");
}

/// Writes groups of encoded pieces.
class Output {
 public:
  Output(const DocumentReader& documents, ShardWriter& writer) : documents_(documents), writer_(writer) {}

  void write(const Group& group) {
    for (std::size_t i = 0; i < group.pieces.size(); ++i) {
      if (i == group.ids.size()) rethrow_at(documents_, group.pieces[i], group.error);
      writer_.append(group.ids[i]);
      bytes_ += std::ssize(group.pieces[i].text);
      if (!group.pieces[i].last) continue;
      writer_.end_document(bytes_);
      bytes_ = 0;
    }
  }
  TokenizeProgress progress() const { return {writer_.documents(), writer_.text_bytes() + bytes_, writer_.tokens()}; }

 private:
  const DocumentReader& documents_;
  ShardWriter& writer_;
  std::int64_t bytes_ = 0;  // of the current document
};

Group next_group(DocumentReader& documents) {
  Group group;
  std::size_t bytes = 0;
  for (DocumentPiece piece; bytes < Group::kBytes && documents.next(piece);) {
    bytes += piece.text.size();
    group.pieces.push_back(std::move(piece));
  }
  return group;
}

}  // namespace

bool tokenize(DocumentReader& documents, const Vocabulary& vocabulary, ShardWriter& writer, int threads, InvalidBytes policy,
              const GoOn& go_on) try {
  pass_over(documents, writer);
  Output output(documents, writer);
  Encoders encoders(vocabulary, policy, threads);
  std::exception_ptr unreadable;  // what is wrong with the text comes after what was read before it
  for (bool more = true; more || !encoders.empty();) {
    while (more && encoders.has_room()) try {
        Group group = next_group(documents);
        more = !group.pieces.empty();
        if (more) encoders.give(std::move(group));
      } catch (const Error&) {
        unreadable = std::current_exception();
        more = false;
      }
    if (encoders.empty()) break;
    output.write(*encoders.take());
    if (go_on(output.progress())) continue;
    writer.save();
    return false;
  }
  if (unreadable) std::rethrow_exception(unreadable);
  return true;
} catch (...) {
  writer.save();
  throw;
}

bool count_words(DocumentReader& documents, WordCounts& words, InvalidBytes policy, const GoOn& go_on) {
  TokenizeProgress progress;
  std::int64_t reported = 0;
  for (DocumentPiece piece; documents.next(piece);) {
    try {
      words.add(piece.text, policy);
    } catch (...) {
      rethrow_at(documents, piece, std::current_exception());
    }
    progress.documents += piece.last;
    progress.text_bytes += std::ssize(piece.text);
    if (progress.text_bytes - reported < static_cast<std::int64_t>(Group::kBytes)) continue;
    reported = progress.text_bytes;
    if (!go_on(progress)) return false;
  }
  return go_on(progress);
}

void encode_documents(DocumentReader& documents, const Vocabulary& vocabulary, InvalidBytes policy,
                      const std::function<void(const std::vector<std::int32_t>& ids)>& take) {
  BpeEncoder encoder(vocabulary);
  std::vector<std::int32_t> ids;
  for (DocumentPiece piece; documents.next(piece);) {
    ids.clear();
    try {
      encoder.encode(piece.text, ids, policy);
    } catch (...) {
      rethrow_at(documents, piece, std::current_exception());
    }
    take(ids);
  }
}

}  // namespace alma
