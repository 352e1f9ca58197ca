#include "executor/kv_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "support/errors.h"

namespace ttsrt::executor {
namespace {

step::PrefixKey key_of(std::int32_t rows, const std::string& content = "zeros") {
  return {content, rows};
}

std::vector<std::int32_t> blocks_of(const BlockTable& table) {
  return {table.data(), table.data() + table.size()};
}

TEST(BlockPool, TakesAndReleases) {
  BlockPool pool(2, 4);
  EXPECT_EQ(pool.blocks_for(0), 0);
  EXPECT_EQ(pool.blocks_for(4), 1);
  EXPECT_EQ(pool.blocks_for(5), 2);
  const std::int32_t first = pool.take();
  EXPECT_NE(pool.take(), first);
  EXPECT_TRUE(test::throws_naming<InternalError>("none free of 2", [&] { pool.take(); }));
  pool.share(first);
  pool.release(first);
  EXPECT_EQ(pool.num_free(), 0);
  pool.release(first);
  EXPECT_EQ(pool.num_free(), 1);
}

TEST(BlockTable, GrowsAndTruncates) {
  BlockPool pool(8, 4);
  BlockTable table(pool);
  table.reserve(20);
  const std::int32_t* data = table.data();
  table.grow(17);
  EXPECT_EQ(table.size(), 5);
  EXPECT_EQ(table.data(), data);
  table.grow(3);
  EXPECT_EQ(table.size(), 5);
  table.truncate(5);
  EXPECT_EQ(table.size(), 2);
  EXPECT_EQ(pool.num_free(), 6);
  table.truncate(0);
  EXPECT_EQ(pool.num_free(), 8);
  BlockTable().truncate(0);  // one without a pool holds nothing
}

TEST(BlockTable, MovesGiveNothingBackTwice) {
  BlockPool pool(4, 4);
  {
    BlockTable first(pool);
    first.grow(8);
    BlockTable second(std::move(first));
    BlockTable third(pool);
    third.grow(4);
    third = std::move(second);
    EXPECT_EQ(pool.num_free(), 2);
    BlockTable& same = third;
    third = std::move(same);
    EXPECT_EQ(third.size(), 2);
  }
  EXPECT_EQ(pool.num_free(), 4);
}

TEST(BlockTable, AForkSharesWholeBlocksAndCopiesTheTail) {
  BlockPool pool(8, 4);
  BlockTable prefix(pool);
  prefix.grow(10);
  BlockTable fork(pool);
  std::vector<step::BlockCopy> copies;
  fork.fork_from(prefix, 10, copies);
  ASSERT_EQ(fork.size(), 3);
  EXPECT_EQ(fork.data()[0], prefix.data()[0]);
  EXPECT_EQ(fork.data()[1], prefix.data()[1]);
  EXPECT_NE(fork.data()[2], prefix.data()[2]);
  ASSERT_EQ(copies.size(), 1U);
  EXPECT_EQ(copies[0].from, prefix.data()[2]);
  EXPECT_EQ(copies[0].to, fork.data()[2]);
  prefix.clear();
  EXPECT_EQ(pool.num_free(), 5);  // the shared ones live on
  fork.clear();
  EXPECT_EQ(pool.num_free(), 8);
}

TEST(BlockTable, AForkOfWholeBlocksCopiesNothing) {
  BlockPool pool(8, 4);
  BlockTable prefix(pool);
  prefix.grow(8);
  BlockTable fork(pool);
  std::vector<step::BlockCopy> copies;
  fork.fork_from(prefix, 8, copies);
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(blocks_of(fork), blocks_of(prefix));
  EXPECT_THROW(fork.fork_from(prefix, 9, copies), InternalError);
}

TEST(PrefixCache, OnePrefixForEachKey) {
  BlockPool pool(12, 4);
  PrefixCache prefixes(pool);
  Prefix& five = prefixes.acquire(key_of(5));
  EXPECT_EQ(&prefixes.acquire(key_of(5)), &five);
  EXPECT_EQ(five.users, 2);
  EXPECT_EQ(five.rows(), 5);
  EXPECT_EQ(five.table.size(), 2);
  EXPECT_EQ(five.planned, 0);
  Prefix& six = prefixes.acquire(key_of(6));
  Prefix& voice = prefixes.acquire(key_of(5, "voice 3"));
  EXPECT_NE(&six, &five);
  EXPECT_NE(&voice, &five);  // of the same length, but other rows
  EXPECT_EQ(pool.num_free(), 6);
  EXPECT_TRUE(five.id != 0 && six.id != 0 && voice.id != 0);
  EXPECT_EQ((std::set<std::uint64_t>{five.id, six.id, voice.id}).size(), 3U);
}

TEST(PrefixCache, CountsTheBlocksOfThoseInUse) {
  BlockPool pool(12, 4);
  PrefixCache prefixes(pool);
  Prefix& five = prefixes.acquire(key_of(5));
  prefixes.acquire(key_of(5));
  EXPECT_EQ(prefixes.used_blocks(), 2);
  Prefix& other = prefixes.acquire(key_of(9, "voice 3"));
  EXPECT_EQ(prefixes.used_blocks(), 5);
  prefixes.release(five);
  EXPECT_EQ(prefixes.used_blocks(), 5);
  other.is_broken = true;
  prefixes.release(other);
  EXPECT_EQ(prefixes.used_blocks(), 2);
  prefixes.release(five);
  EXPECT_EQ(prefixes.used_blocks(), 0);
  prefixes.acquire(key_of(5));  // it was kept
  EXPECT_EQ(prefixes.used_blocks(), 2);
}

TEST(PrefixCache, UnusedOnesGoTheLongestUnusedFirst) {
  BlockPool pool(6, 4);
  PrefixCache prefixes(pool);
  Prefix& first = prefixes.acquire(key_of(5));
  Prefix& second = prefixes.acquire(key_of(6));
  Prefix& third = prefixes.acquire(key_of(7));
  second.planned = 6;
  third.planned = 7;
  EXPECT_FALSE(prefixes.make_room(1));  // all in use
  prefixes.release(first);
  prefixes.release(second);
  EXPECT_EQ(pool.num_free(), 0);  // kept for whoever comes
  EXPECT_TRUE(prefixes.make_room(2));
  EXPECT_EQ(pool.num_free(), 2);
  EXPECT_EQ(prefixes.acquire(key_of(6)).planned, 6);  // the younger one stayed
  EXPECT_FALSE(prefixes.make_room(3));
  EXPECT_TRUE(prefixes.make_room(0));
}

// What a failed launch should have filled is nobody's from then on, and goes with its last user.
TEST(PrefixCache, ABrokenPrefixIsNotHandedOutAgain) {
  BlockPool pool(6, 4);
  PrefixCache prefixes(pool);
  Prefix& broken = prefixes.acquire(key_of(5));
  prefixes.acquire(key_of(5));
  const std::uint64_t id = broken.id;
  broken.planned = 5;
  broken.is_broken = true;
  Prefix& fresh = prefixes.acquire(key_of(5));
  EXPECT_NE(fresh.id, id);
  EXPECT_EQ(fresh.planned, 0);
  EXPECT_EQ(&prefixes.acquire(key_of(5)), &fresh);
  prefixes.release(broken);
  EXPECT_EQ(pool.num_free(), 2);
  prefixes.release(broken);
  EXPECT_EQ(pool.num_free(), 4);  // at once: nobody may want it
}

TEST(PrefixCache, ADroppedPrefixComesBackUnderAnotherId) {
  BlockPool pool(4, 4);
  PrefixCache prefixes(pool);
  Prefix& first = prefixes.acquire(key_of(5));
  const std::uint64_t id = first.id;
  prefixes.release(first);
  EXPECT_TRUE(prefixes.make_room(4));
  EXPECT_NE(prefixes.acquire(key_of(5)).id, id);
}

// Random lives of many tables: a block is free or somebody's; one written by one table is no
// other's.
class Books {
 public:
  Books() : pool_(40, 4), prefixes_(pool_) {}

  void act(std::mt19937& random) {
    const auto pick = [&](std::int32_t below) {
      return static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(below));
    };
    Branch& branch = branches_[static_cast<std::size_t>(pick(6))];
    const std::int32_t positions = branch.positions + pick(7);
    switch (pick(5)) {
      case 0:
        if (pool_.num_free() > 3) {
          branch.table.grow(positions);
          branch.positions = positions;
        }
        break;
      case 1:
        branch.positions = std::max(branch.shared, branch.positions - pick(6));
        branch.table.truncate(branch.positions);
        break;
      case 2:
        drop(branch);
        break;
      case 3:
        if (branch.positions == 0 && pool_.num_free() > 8) fork(branch, 1 + pick(10));
        break;
      default:
        prefixes_.make_room(pick(12));
    }
  }

  void check() const {
    std::map<std::int32_t, int> owners;
    for (const Branch& branch : branches_) {
      ASSERT_GE(branch.table.size() * 4, branch.positions);
      for (std::int32_t i = 0; i < branch.table.size(); ++i) {
        const bool is_shared = (i + 1) * 4 <= branch.shared;
        if (!is_shared) ++owners[branch.table.data()[i]];
        ASSERT_LE(owners[branch.table.data()[i]], 1);
      }
    }
    std::set<std::int32_t> used;
    for (const Branch& branch : branches_)
      used.insert(branch.table.data(), branch.table.data() + branch.table.size());
    ASSERT_LE(static_cast<std::int32_t>(used.size()), pool_.num_blocks() - pool_.num_free());
  }

  void drop_all() {
    for (Branch& branch : branches_) drop(branch);
    EXPECT_TRUE(prefixes_.make_room(40));
    EXPECT_EQ(pool_.num_free(), 40);
  }

 private:
  struct Branch {
    BlockTable table;
    std::int32_t positions = 0;
    std::int32_t shared = 0;  // positions of the prefix it forked
    Prefix* prefix = nullptr;
  };

  void drop(Branch& branch) {
    if (branch.prefix != nullptr) prefixes_.release(*branch.prefix);
    branch.table.clear();
    branch.positions = branch.shared = 0;
    branch.prefix = nullptr;
  }

  void fork(Branch& branch, std::int32_t rows) {
    branch.prefix = &prefixes_.acquire(key_of(rows));
    std::vector<step::BlockCopy> copies;
    branch.table.fork_from(branch.prefix->table, rows, copies);
    EXPECT_EQ(copies.size(), rows % 4 == 0 ? 0U : 1U);
    branch.positions = branch.shared = rows;
  }

  BlockPool pool_;
  PrefixCache prefixes_;
  std::vector<Branch> branches_ = make_branches();

  std::vector<Branch> make_branches() {
    std::vector<Branch> branches(6);
    for (Branch& branch : branches) branch.table = BlockTable(pool_);
    return branches;
  }
};

TEST(KvCache, RandomLivesLeakNothingAndShareNothingTheyWrite) {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    Books books;
    for (int i = 0; i < 400; ++i) {
      books.act(random);
      books.check();
      if (::testing::Test::HasFatalFailure()) return;
    }
    books.drop_all();
  }
}

}  // namespace
}  // namespace ttsrt::executor
