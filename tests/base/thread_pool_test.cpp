#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/address_space.h"

namespace alma::test {
namespace {

TEST(ThreadPool, EveryPieceRunsOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    const std::unique_ptr<ThreadPool> pool = make_thread_pool(threads);
    EXPECT_EQ(pool->threads(), threads);
    for (const std::int64_t pieces : {0, 1, 2, 3, 31, 1000}) {
      std::vector<int> count(static_cast<std::size_t>(pieces));  // plain: run() orders the writes before its return
      pool->run(pieces, [&](std::int64_t piece) { ++count[static_cast<std::size_t>(piece)]; });
      EXPECT_EQ(count, std::vector<int>(static_cast<std::size_t>(pieces), 1)) << threads << " threads";
    }
  }
}

TEST(ThreadPool, ManyShortJobsInARow) {
  const std::unique_ptr<ThreadPool> pool = make_thread_pool(3);
  std::int64_t total = 0;
  for (int job = 0; job < 20000; ++job) {
    std::int64_t part[4] = {};
    pool->run(4, [&](std::int64_t piece) { part[piece] = piece + job; });
    total += std::accumulate(part, part + 4, std::int64_t{0});
  }
  EXPECT_EQ(total, 4 * (std::int64_t{20000} * 19999 / 2) + 20000 * 6);
}

TEST(ThreadPool, WakesAfterSleep) {
  const std::unique_ptr<ThreadPool> pool = make_thread_pool(3);
  for (int job = 0; job < 5; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // far beyond the spin
    std::atomic<int> count{0};
    pool->run(100, [&](std::int64_t) { ++count; });
    EXPECT_EQ(count, 100);
  }
}

/// Both pieces wait for each other: only two threads at once can end this.
TEST(ThreadPool, PiecesRunAtTheSameTime) {
  const std::unique_ptr<ThreadPool> pool = make_thread_pool(2);
  std::atomic<int> here{0};
  pool->run(2, [&](std::int64_t) {
    ++here;
    while (here < 2) std::this_thread::yield();
  });
  EXPECT_EQ(here, 2);
}

TEST(ThreadPool, OneThreadRunsInlineAndInOrder) {
  const std::unique_ptr<ThreadPool> pool = make_thread_pool(1);
  std::vector<std::int64_t> order;
  pool->run(5, [&](std::int64_t piece) {
    order.push_back(piece);
    pool->run(2, [&](std::int64_t inner) { order.push_back(10 * (piece + 1) + inner); });
  });
  EXPECT_EQ(order, (std::vector<std::int64_t>{0, 10, 11, 1, 20, 21, 2, 30, 31, 3, 40, 41, 4, 50, 51}));
}

TEST(ThreadPool, NestedRunIsInlineAndInOrder) {
  const std::unique_ptr<ThreadPool> pool = make_thread_pool(3), other = make_thread_pool(3);
  std::vector<std::vector<std::int64_t>> order(50);
  std::vector<int> same_thread(50);
  pool->run(50, [&](std::int64_t piece) {
    const auto thread = std::this_thread::get_id();
    auto& mine = order[static_cast<std::size_t>(piece)];
    for (ThreadPool* nested : {pool.get(), other.get()}) {
      nested->run(4, [&](std::int64_t inner) {
        mine.push_back(inner);
        same_thread[static_cast<std::size_t>(piece)] += std::this_thread::get_id() == thread;
      });
    }
  });
  for (std::size_t piece = 0; piece < 50; ++piece) {
    EXPECT_EQ(order[piece], (std::vector<std::int64_t>{0, 1, 2, 3, 0, 1, 2, 3}));
    EXPECT_EQ(same_thread[piece], 8);
  }
}

TEST(ThreadPool, ExceptionComesAfterTheOthersHaveEnded) {
  for (const int threads : {1, 2, 3}) {
    const std::unique_ptr<ThreadPool> pool = make_thread_pool(threads);
    for (int round = 0; round < 100; ++round) {
      std::atomic<int> ended{0};
      try {
        pool->run(20, [&](std::int64_t piece) {
          ++ended;
          if (piece == 7 || piece == 13) throw std::runtime_error("piece " + std::to_string(piece));
        });
        FAIL() << "no exception";
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "piece 7");  // the first by index, whichever came first in time
      }
      EXPECT_EQ(ended, 20);
    }
    int after = 0;
    pool->run(1, [&](std::int64_t) { ++after; });
    EXPECT_EQ(after, 1);
  }
}

TEST(ThreadPool, SeveralCallersAtOnce) {
  const std::unique_ptr<ThreadPool> pool = make_thread_pool(3);
  std::vector<std::int64_t> totals(4);
  {
    std::vector<std::jthread> callers;
    for (std::size_t caller = 0; caller < totals.size(); ++caller) {
      callers.emplace_back([&, caller] {
        for (int job = 0; job < 2000; ++job) {
          std::atomic<std::int64_t> sum{0};
          pool->run(10, [&](std::int64_t piece) { sum += piece; });
          totals[caller] += sum;
        }
      });
    }
  }
  EXPECT_EQ(totals, std::vector<std::int64_t>(4, 2000 * 45));
}

TEST(ThreadPool, LentThreadsStayOut) {
  const std::unique_ptr<ThreadPool> pool = make_thread_pool(3);
  // On a busy machine the pool may work alone for a while: as many jobs as it takes, and at least 50.
  const auto workers_seen = [&](std::size_t expected) {
    std::mutex mutex;
    std::set<std::thread::id> ids;
    for (int job = 0; job < 50 || ids.size() < expected; ++job) {
      pool->run(6, [&](std::int64_t) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        const std::lock_guard lock(mutex);
        ids.insert(std::this_thread::get_id());
      });
    }
    return ids.size();
  };
  EXPECT_EQ(workers_seen(3), 3u);
  pool->lend(1);
  EXPECT_EQ(pool->threads(), 3);  // what may be cut for does not change
  EXPECT_EQ(workers_seen(2), 2u);
  pool->lend(7);
  EXPECT_EQ(workers_seen(1), 1u);  // the caller always works
  pool->lend(0);
  EXPECT_EQ(workers_seen(3), 3u);
}

// In a process of its own whose address space has room for the stacks of a few threads.
TEST(ThreadPoolDeathTest, WhereTheSystemStartsNoMoreThreadsThoseThereAreDoTheWork) {
  if (!kLimitable) GTEST_SKIP() << kNotLimitable;
  constexpr std::size_t gigabyte = std::size_t{1} << 30;
  EXPECT_EXIT(
      {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, gigabyte);
        pthread_setattr_default_np(&attributes);
        limit_address_space(3 * gigabyte);
        const std::unique_ptr<ThreadPool> pool = make_thread_pool(16);
        std::atomic<std::int64_t> sum{0};
        for (int job = 0; job < 100; ++job) pool->run(50, [&](std::int64_t piece) { sum += piece; });
        const bool fewer = pool->threads() >= 2 && pool->threads() <= 3;
        std::_Exit(fewer && sum == 100 * 1225 ? 42 : 1);
      },
      testing::ExitedWithCode(42), "");
}

TEST(ThreadPool, MadeAndDroppedAtOnce) {
  for (int round = 0; round < 200; ++round) {
    const std::unique_ptr<ThreadPool> pool = make_thread_pool(4);
    if (round % 2 == 0) pool->run(3, [](std::int64_t) {});
  }
}

}  // namespace
}  // namespace alma::test
